"""
Trained networks.
"""
from __future__ import annotations
import os
import pathlib
import torch
import typing
__all__: list[str] = ['Bundle', 'check_manifest', 'frame_logits']
class Bundle:
    """
    Trained networks in a folder; loaded role by role.
    """
    def __init__(self, folder: os.PathLike | str | bytes, sha256: str | None = None) -> None:
        ...
    def load(self, role: str, device: torch.device, dtype: torch.dtype | None = None) -> list[str]:
        """
        Load the network of a role or a stage and try it on a tiny input. Returns the products of a stage that stay LibTorch's, since their weights are no constants.
        """
    def release(self, role: str) -> None:
        """
        Let go of the loaded networks of a role or a stage.
        """
    def tokenizer(self, role: str) -> bytes:
        """
        The tokenizer.json of a role, as it is.
        """
    @property
    def hash(self) -> str:
        ...
    @property
    def manifest(self) -> str:
        """
        bundle.json, as it is.
        """
    @property
    def path(self) -> pathlib.Path:
        ...
def check_manifest(file: os.PathLike | str | bytes) -> None:
    """
    Check that a bundle.json keeps to the schema; files that it names are not looked at.
    """
def frame_logits(bundle: Bundle, stage: str, channels: torch.Tensor, codes: torch.Tensor, device: torch.device, dtype: torch.dtype | None = None) -> torch.Tensor:
    """
    Logits (B, frames, levels, V) of codes (B, levels, frames) that are given, of a stage of the family frames whose channels have the codes (B, channels, frames).
    """
