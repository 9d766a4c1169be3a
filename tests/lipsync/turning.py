"""Frames and faces turned by quarters, clockwise on screen, and by any angle."""

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from heygem_daemon.lipsync.arrays import Float64, Image
from heygem_daemon.lipsync.geometry.pose import Face
from heygem_daemon.media.frame import Frame


def turned_frame(frame: Frame, quarters: int) -> Frame:
    """Return the frame turned by quarters; no sample changes."""
    y, u, v = (np.ascontiguousarray(np.rot90(plane, -quarters)) for plane in (frame.y, frame.u, frame.v))
    return Frame(index=frame.index, y=y, u=u, v=v, space=frame.space)


def quarter_map(size: tuple[int, int], quarters: int) -> Float64:
    """Return [2, 3], which takes points of an image of `size` (width, height) to those of the turned one."""
    matrix = np.eye(3)[:2]
    width, height = size
    for _ in range(quarters % 4):
        matrix = np.array([[0, -1], [1, 0]]) @ matrix + np.array([[0, 0, height - 1], [0, 0, 0]])
        width, height = height, width
    return matrix


def moved(points: npt.NDArray[np.floating], matrix: Float64) -> Float64:
    """Return points [..., 2] under an affine map [2, 3]."""
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])


def turned_face(face: Face, size: tuple[int, int], quarters: int) -> Face:
    """Return the face in the turned frame."""
    matrix = quarter_map(size, quarters)
    spin = np.eye(3)
    spin[:2, :2] = matrix[:, :2]
    roll = (face.angles[2] + 90 * quarters + 180) % 360 - 180
    return replace(
        face, points=moved(face.points, matrix), rotation=spin @ face.rotation, angles=np.array([face.angles[0], face.angles[1], roll])
    )


def turned_image(image: Image, degrees: float) -> tuple[Image, Float64]:
    """Return the whole image turned by any angle, clockwise, on a larger canvas, and the map [2, 3] of its points."""
    height, width = image.shape[:2]
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    size = np.ceil(np.abs(turn) @ (width, height)).astype(int)
    matrix = np.column_stack([turn, size / 2 - turn @ (width / 2, height / 2)])
    turned = cv2.warpAffine(image, matrix, size.tolist(), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(turned, np.uint8), matrix
