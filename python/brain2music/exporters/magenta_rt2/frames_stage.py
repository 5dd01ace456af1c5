"""The stage of the family ``frames``: source, temporal and depth network, with the methods that a bundle calls."""

import torch
from torch import Tensor, nn

from brain2music.exporters.magenta_rt2.depth import DepthNetwork
from brain2music.exporters.magenta_rt2.source import SourceNetwork
from brain2music.exporters.magenta_rt2.temporal import TemporalNetwork

__all__ = ["FramesStage"]


class FramesStage(nn.Module):
    """A frame is made by one call of ``temporal``, then one of ``depth_first`` and one of ``depth_next`` a level.

    The state holds the source of the present frame, then the temporal network's caches, then those of the depth
    network. All of it is written in place.

    Parameters
    ----------
    source : SourceNetwork
        It makes the source of a frame.
    temporal : TemporalNetwork
        It runs once a frame.
    depth : DepthNetwork
        It runs once a level.
    size, dimension : int
        The size of the source, and d of the temporal network.
    levels, codes : int
        How many levels a frame has, and how many codes each.
    """

    def __init__(
        self,
        source: SourceNetwork,
        temporal: TemporalNetwork,
        depth: DepthNetwork,
        *,
        size: int,
        dimension: int,
        levels: int,
        codes: int,
    ) -> None:
        super().__init__()
        self.source_network = source
        self.temporal_network = temporal
        self.depth_network = depth
        #: Row 0 stands for no code, then come the codes level by level. The rows are scaled as both networks need them.
        self.embedding = nn.Embedding(1 + levels * codes, dimension)
        self.size = size
        self.levels = levels
        self.codes = codes
        #: Where the depth network's tensors begin in the state.
        self.depth_first_tensor = 1 + temporal.tensors
        self.level_rows: Tensor
        self.register_buffer("level_rows", 1 + torch.arange(levels) * codes, persistent=False)

    @torch.jit.export
    def init_state(self, batch: int, length: int, condition: Tensor | None) -> list[Tensor]:
        """Make the state of a batch of new sequences.

        Parameters
        ----------
        batch : int
            B.
        length : int
            Frames of a sequence, at most.
        condition : Tensor, optional
            None: what conditions the stage is given frame by frame, to ``source``.

        Returns
        -------
        list of Tensor
        """
        weight = self.embedding.weight
        state = [torch.zeros([batch, self.size], dtype=weight.dtype, device=weight.device)]
        state = state + self.temporal_network.init_state(batch, length)
        return state + self.depth_network.init_state(batch)

    @torch.jit.export
    def source(self, codes: Tensor, position: Tensor, state: list[Tensor]) -> None:
        """Take the codes of the input channels, for this frame and all that follow until the next call.

        Parameters
        ----------
        codes : Tensor of shape (B, channels), int64
            Codes; -1 where a channel is masked.
        position : Tensor of shape (), int64
            The frame; this network does not look at it.
        state : list of Tensor
            From ``init_state``.
        """
        state[0].copy_(self.source_network(codes))

    @torch.jit.export
    def temporal(self, previous: Tensor, position: Tensor, state: list[Tensor]) -> Tensor:
        """Begin a frame.

        Parameters
        ----------
        previous : Tensor of shape (B, levels), int64
            The codes of the frame before; -1 in the first frame.
        position : Tensor of shape (), int64
            The frame, counted from 0.
        state : list of Tensor
            From ``init_state``.

        Returns
        -------
        Tensor of shape (B, d)
            What ``depth_first`` takes.
        """
        return self.extend(previous.unsqueeze(1), state[0].unsqueeze(1), position, state).squeeze(1)

    @torch.jit.export
    def depth_first(self, h: Tensor, state: list[Tensor]) -> Tensor:
        """Return the logits (B, codes) of level 0 of a frame, from what ``temporal`` gave."""
        return self.depth_network.extend(h, 0, state, self.depth_first_tensor)

    @torch.jit.export
    def depth_next(self, code: Tensor, level: int, state: list[Tensor]) -> Tensor:
        """Return the logits (B, codes) of a level, 1 or more, from the code (B,) of the level before."""
        row = self.embedding(code + (1 + (level - 1) * self.codes))
        return self.depth_network.extend(row, level, state, self.depth_first_tensor)

    def extend(self, previous: Tensor, source: Tensor, position: Tensor, state: list[Tensor]) -> Tensor:
        """Run the temporal network over several frames at once.

        Parameters
        ----------
        previous : Tensor of shape (B, T, levels), int64
            The codes of the frame before each; -1 before the first frame.
        source : Tensor of shape (B, T, size)
            The source of each frame.
        position : Tensor of shape (), int64
            The first of the frames.
        state : list of Tensor
            From ``init_state``.

        Returns
        -------
        Tensor of shape (B, T, d)
        """
        rows = (previous + self.level_rows).masked_fill(previous < 0, 0)
        return self.temporal_network.extend(self.embedding(rows).mean(-2), source, position, state, 1)
