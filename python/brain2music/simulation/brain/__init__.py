"""A brain that listens: what there is to hear, what each voxel makes of it, and the scanner's noise."""
