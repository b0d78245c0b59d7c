"""What FFmpeg is asked for on each system, and what a person is told where there is nothing to open."""

from __future__ import annotations

import pytest

from entrenous.errors import DeviceError
from entrenous.media.sources.inputs import camera_format, camera_input, screen_input

SIZE = {"width": 1280, "height": 720, "fps": 30}


@pytest.mark.parametrize(
    ("platform", "name", "kind", "url"),
    [
        ("linux", "/dev/video2", "v4l2", "/dev/video2"),
        ("darwin", "FaceTime HD Camera", "avfoundation", "FaceTime HD Camera:none"),
        ("win32", "Integrated Webcam", "dshow", "video=Integrated Webcam"),
    ],
)
def test_a_camera_is_asked_for_size_and_rate(platform: str, name: str, kind: str, url: str) -> None:
    chosen = camera_input(platform, name, width=1280, height=720, fps=30)
    assert (chosen.format, chosen.url, chosen.width, chosen.height) == (kind, url, 1280, 720)
    assert chosen.options["video_size"] == "1280x720"
    assert chosen.options["framerate"] == "30"


@pytest.mark.parametrize(
    ("platform", "environment", "kind", "url"),
    [
        ("linux", {"DISPLAY": ":7"}, "x11grab", ":7"),
        ("darwin", {}, "avfoundation", "Capture screen 0:none"),
        ("win32", {}, "gdigrab", "desktop"),
    ],
)
def test_a_screen_is_captured_at_the_wanted_rate(
    platform: str, environment: dict[str, str], kind: str, url: str
) -> None:
    chosen = screen_input(platform, environment, width=1280, height=720, fps=30)
    assert (chosen.format, chosen.url) == (kind, url)
    assert chosen.options["framerate"] == "30"


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [({}, "no X display"), ({"WAYLAND_DISPLAY": "wayland-0"}, "log in to an X11 session")],
)
def test_without_an_x_display_a_sentence_says_so(environment: dict[str, str], sentence: str) -> None:
    with pytest.raises(DeviceError, match=sentence):
        screen_input("linux", environment, width=1280, height=720, fps=30)


def test_an_unknown_system_is_named() -> None:
    with pytest.raises(DeviceError, match="plan9"):
        camera_format("plan9")
    with pytest.raises(DeviceError, match="plan9"):
        screen_input("plan9", {}, width=1280, height=720, fps=30)
