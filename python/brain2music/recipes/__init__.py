"""Recipes: how a bundle of trained networks is made, from the composer's music or from music of one's own."""

from brain2music.recipes.composed import Composer
from brain2music.recipes.excerpts import Excerpt, Excerpts
from brain2music.recipes.own_music import OwnMusic
from brain2music.recipes.recipe import Plan, Recipe
from brain2music.recipes.source import Source, TagGroup

__all__ = ["Composer", "Excerpt", "Excerpts", "OwnMusic", "Plan", "Recipe", "Source", "TagGroup"]
