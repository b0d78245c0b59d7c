"""Which of FFmpeg's input devices is the camera or the screen of this system, and what it is to be asked for (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...errors import DeviceError


@dataclass(frozen=True, slots=True)
class CaptureInput:
    """What FFmpeg is to open.

    Args:
        format: the name of its input device.
        url: which of the devices of that kind.
        options: of the input device.
        width, height: what pictures are reduced to at most, pixels.
    """

    format: str
    url: str
    width: int
    height: int
    options: Mapping[str, str] = field(default_factory=dict)


CAMERA_FORMATS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}
"""The input device for cameras, by `sys.platform`."""


def camera_format(platform: str) -> str:
    """The input device for the cameras of a platform, as `sys.platform` names it; raises DeviceError for others."""
    if platform not in CAMERA_FORMATS:
        raise DeviceError(f"Cameras are not supported on {platform}: send a file or the test card instead.")
    return CAMERA_FORMATS[platform]


def camera_input(platform: str, name: str, *, width: int, height: int, fps: int) -> CaptureInput:
    """How to open a camera.

    Args:
        platform: as `sys.platform` has it.
        name: the camera as `list_cameras` names it.
        width, height: the wanted size in pixels; a camera that has none like it takes its nearest.
        fps: wanted pictures a second.

    Raises:
        DeviceError: cameras are not supported on this platform.
    """
    kind = camera_format(platform)
    options = {"video_size": f"{width}x{height}", "framerate": str(fps)}
    if kind == "dshow":
        return CaptureInput(kind, f"video={name}", width, height, {**options, "rtbufsize": "64M"})
    if kind == "avfoundation":
        # Its pictures come in pixel formats of its own choice unless it is told; this one every Apple camera has.
        return CaptureInput(kind, f"{name}:none", width, height, {**options, "pixel_format": "nv12"})
    return CaptureInput(kind, name, width, height, options)


def screen_input(platform: str, environment: Mapping[str, str], *, width: int, height: int, fps: int) -> CaptureInput:
    """How to capture the screen.

    Args:
        platform: as `sys.platform` has it.
        environment: the variables of this process.
        width, height: what pictures are reduced to at most, pixels.
        fps: pictures a second.

    Raises:
        DeviceError: there is no screen, or it cannot be captured; the sentence says what to do.
    """
    if platform == "darwin":
        options = {"framerate": str(fps), "capture_cursor": "1", "pixel_format": "nv12"}
        return CaptureInput("avfoundation", "Capture screen 0:none", width, height, options)
    if platform == "win32":
        return CaptureInput("gdigrab", "desktop", width, height, {"framerate": str(fps)})
    if platform != "linux":
        raise DeviceError(f"The screen cannot be shared on {platform}.")
    display = environment.get("DISPLAY")
    if not display:
        wayland = " Under Wayland, log in to an X11 session to share it." if "WAYLAND_DISPLAY" in environment else ""
        raise DeviceError(f"There is no X display, so there is no screen to share.{wayland}")
    return CaptureInput("x11grab", display, width, height, {"framerate": str(fps), "draw_mouse": "1"})
