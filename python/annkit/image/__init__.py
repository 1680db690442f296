"""Perceptual hashes of images, and the near-duplicates that they find."""

from annkit.image._groups import DuplicateGroup, distances, duplicates
from annkit.image._hashing import METHODS, ImageHashes, hash

__all__ = ["METHODS", "DuplicateGroup", "ImageHashes", "distances", "duplicates", "hash"]
