"""Laws found step by step: symmetries read off a smooth surrogate, closed forms of the rest."""
