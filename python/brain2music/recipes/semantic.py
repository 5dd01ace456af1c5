"""The semantic encoder: what the lower layers of the music tower hear, as vectors and as one token a frame."""

import torch
from torch import Tensor, nn

from brain2music.recipes.excerpts import Excerpts
from brain2music.recipes.towers import MusicTower

__all__ = ["SemanticEncoder", "fit_semantic_encoder"]


class SemanticEncoder(nn.Module):
    """``embed``: (B, samples) at 16 kHz to (B, frames, width); ``tokenize``: to (B, frames) int64, 25 a second.

    The counterpart of a middle layer of w2v-BERT and the k-means clusters of its frames.

    Parameters
    ----------
    tower : MusicTower
        A trained one; its lower blocks are taken.
    depth : int
        How many blocks.
    clusters : int
        Tokens.
    """

    mean: Tensor
    scale: Tensor
    centroids: Tensor

    def __init__(self, tower: MusicTower, depth: int = 3, clusters: int = 512) -> None:
        super().__init__()
        self.tower = MusicTower(tower.width, depth)
        self.tower.load_state_dict(tower.state_dict(), strict=False)
        # What only the whole tower needs is left behind.
        for name in ("norm", "attend", "leave"):
            setattr(self.tower, name, nn.Identity())
        self.depth = depth
        self.register_buffer("mean", torch.zeros(tower.width))
        self.register_buffer("scale", torch.ones(tower.width))
        self.register_buffer("centroids", torch.zeros(clusters, tower.width))

    @torch.jit.export
    def embed(self, wave: Tensor) -> Tensor:
        """Map windows to frames of mean 0 and variance 1."""
        frames = self.tower.frames(wave, self.depth).transpose(1, 2)
        return (frames - self.mean) * self.scale

    @torch.jit.export
    def tokenize(self, wave: Tensor) -> Tensor:
        """Map windows to the nearest clusters."""
        frames = self.embed(wave)
        distances = self.centroids.square().sum(1) - 2 * torch.matmul(frames, self.centroids.t())
        return distances.argmin(-1)


@torch.inference_mode()
def fit_semantic_encoder(encoder: SemanticEncoder, training: Excerpts, excerpts: int = 400, seed: int = 0) -> None:
    """Fit the scale of the frames and their clusters (k-means, by scikit-learn) on so many excerpts."""
    from sklearn.cluster import MiniBatchKMeans  # type: ignore[import-untyped]

    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(training), generator=generator)[:excerpts].tolist()
    device = encoder.mean.device
    frames = torch.cat([encoder.embed(torch.from_numpy(training.sound(row))[None].to(device))[0] for row in chosen])
    encoder.mean.copy_(frames.mean(0))
    encoder.scale.copy_(1 / frames.std(0).clamp_min(1e-4))
    standard = ((frames - encoder.mean) * encoder.scale).cpu().numpy()
    means = MiniBatchKMeans(len(encoder.centroids), batch_size=8192, n_init=3, random_state=seed).fit(standard)
    encoder.centroids.copy_(torch.from_numpy(means.cluster_centers_))
