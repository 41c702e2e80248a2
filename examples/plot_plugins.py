"""
What is installed, and from where
=================================

Models come from plugins, which are ordinary distributions. The core knows none of them by name.
"""

# %%
# The registry
# ------------

import zoo
from zoo.registry import registry

print(zoo.available())
for entry in registry().entries:
    print(f"{entry.qualified_name} {entry.version}: {entry.spec.summary}")

# %%
# Everything about a model is a frozen record of names and strings; nothing heavy was imported to
# list it.

spec = registry().find("kan").spec
print(dict(spec.targets))
print(spec.paper.title, spec.paper.url)

# %%
# A plugin in one module
# ----------------------
# A real one is a distribution with an entry point; see :doc:`/plugins`. This one lives in this
# script only, to show what the registry makes of it.

from zoo.errors import UnknownModelError


class Plugin:
    @zoo.hookimpl
    def zoo_register_models(self, register):
        register(
            zoo.ModelSpec(
                name="mean",
                targets={"regression": "sklearn.dummy:DummyRegressor"},
                summary="Predicts the mean.",
            )
        )


specs = []
Plugin().zoo_register_models(specs.append)
print(specs[0])

# %%
# A name that nobody registers is an error that suggests what is there.

try:
    zoo.load("kann")
except UnknownModelError as error:
    print(error)
