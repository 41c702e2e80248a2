"""Faces: pictures in any form, a detector, a recogniser, and what they say together."""

import numpy as np
import pytest
import torch
from PIL import Image

from zoo_instantfamily.drawing import DrawnFaces
from zoo_instantfamily.encoders import DrawnFaceEncoder, FaceFeatures
from zoo_instantfamily.faces import (
    DetectedFace,
    DrawnRecogniser,
    FaceDetector,
    FaceReader,
    FaceRecogniser,
    WholeFrame,
    read_image,
)


@pytest.fixture(scope="module")
def reader():
    torch.manual_seed(0)
    return FaceReader(recogniser=DrawnRecogniser(DrawnFaceEncoder().eval()))


@pytest.fixture(scope="module")
def portraits():
    faces = DrawnFaces(1)
    return faces.portraits(faces.identities(3), size=60)


def _bytes(image):
    return (image * 255).round().byte().permute(1, 2, 0).numpy()


def test__read_image__every_form__the_same_tensor(portraits):
    pixels = _bytes(portraits[0])
    expected = torch.from_numpy(pixels).permute(2, 0, 1) / 255
    assert torch.equal(read_image(expected), expected)
    for form in (pixels, pixels.astype(np.float64) / 255, Image.fromarray(pixels)):
        torch.testing.assert_close(read_image(form), expected, atol=1e-6, rtol=0)


def test__read_image__transparent_picture__lies_on_white():
    image = Image.new("RGBA", (4, 3), (255, 0, 0, 0))
    assert torch.equal(read_image(image), torch.ones(3, 3, 4))
    image.putpixel((1, 0), (0, 0, 255, 255))
    assert read_image(image)[:, 0, 1].tolist() == [0, 0, 1]


def test__read_image__turned_photograph__is_set_upright():
    image = Image.new("RGB", (6, 4))
    image.putpixel((0, 0), (255, 255, 255))
    image.getexif()[274] = 6
    upright = read_image(image)
    assert upright.shape == (3, 6, 4)
    assert upright[0, 0, 3] == 1


def test__read_image__grey_picture__has_three_channels():
    assert read_image(Image.new("L", (5, 4), 51)).unique().tolist() == pytest.approx([0.2])


def test__face_reader__batch_of_pictures__equals_one_by_one(reader, portraits):
    together = reader.read([*portraits])
    assert together.vector.shape == (3, 128)
    assert together.tokens.shape == (3, 36, 64)
    torch.testing.assert_close(together.vector.norm(dim=1), torch.ones(3))
    for k in range(3):
        one = reader.read([portraits[k]])
        torch.testing.assert_close(one.vector[0], together.vector[k], atol=1e-5, rtol=0)
        torch.testing.assert_close(one.tokens[0], together.tokens[k], atol=1e-5, rtol=0)


def test__face_reader__features_among_pictures__are_taken_as_they_are(reader, portraits):
    first = reader.read([portraits[0]])
    mixed = reader.read([portraits[1], first])
    assert torch.equal(mixed.vector[1:], first.vector)
    assert torch.equal(mixed.tokens[1:], first.tokens)


def test__whole_frame__portrait__box_is_where_the_face_was_drawn():
    faces = DrawnFaces(2)
    portrait = faces.portraits(faces.identities(1), size=50, strength=0.0)[0]
    (face,) = WholeFrame().detect(portrait)
    assert face.box == (5, 5, 45, 45)
    assert face.area == 1600
    (wide,) = WholeFrame().detect(torch.zeros(3, 50, 90))
    assert wide.box == (25, 5, 65, 45)


def test__face_reader__several_faces__takes_the_largest(portraits):
    class Two:
        licence = "Apache-2.0"

        def detect(self, image):
            return [DetectedFace((0, 0, 9, 9)), DetectedFace((60, 0, 108, 60))]

    class Boxes:
        licence = "Apache-2.0"
        vector_dim, token_dim, side = 4, 2, 1

        def embed(self, images, faces):
            return FaceFeatures(torch.tensor([face.box for face in faces]), torch.zeros(1, 1, 2))

    assert isinstance(Two(), FaceDetector)
    assert isinstance(Boxes(), FaceRecogniser)
    assert isinstance(DrawnRecogniser(DrawnFaceEncoder()), FaceRecogniser)
    features = FaceReader(detector=Two(), recogniser=Boxes()).read([portraits[0]])
    assert features.vector.tolist() == [[60, 0, 108, 60]]


@pytest.mark.parametrize(
    ("face", "error", "message"),
    [
        ("me.png", TypeError, r"faces\[0\] must be a PIL image, an array or a tensor, got str"),
        (np.zeros((8, 8)), ValueError, r"faces\[0\] as an array .* got \(8, 8\)"),
        (torch.zeros(1, 8, 8), ValueError, r"faces\[0\] as a tensor .* got \(1, 8, 8\)"),
        (torch.full((3, 8, 8), 2.0), ValueError, r"faces\[0\] must have values in \[0, 1\]"),
        (torch.full((3, 8, 8), torch.nan), ValueError, r"faces\[0\] must have values in \[0, 1\]"),
        (
            FaceFeatures(torch.zeros(1, 7), torch.zeros(1, 36, 64)),
            ValueError,
            r"faces\[0\] must have features of the shapes \(1, 128\) and \(1, 36, 64\)",
        ),
    ],
)
def test__face_reader__bad_face__one_sentence(reader, face, error, message):
    with pytest.raises(error, match=message):
        reader.read([face])


def test__face_reader__nobody__one_sentence(reader):
    with pytest.raises(ValueError, match="faces must hold at least one face, got none"):
        reader.read([])


def test__face_reader__picture_without_a_face__one_sentence(portraits):
    class Blind:
        licence = "Apache-2.0"

        def detect(self, image):
            return []

    with pytest.raises(ValueError, match=r"faces\[0\] must show a face, .* in the 60 x 60 pixels"):
        FaceReader(detector=Blind(), recogniser=DrawnRecogniser(DrawnFaceEncoder())).read(
            [portraits[0]]
        )
