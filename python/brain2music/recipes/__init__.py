"""Recipes: how a bundle of trained networks is made, from the composer's music or from music of one's own."""

from brain2music.recipes.recipe import Plan, Recipe

__all__ = ["Plan", "Recipe"]
