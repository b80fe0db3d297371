"""Names of other libraries with their order of arguments: change the import, and keep the code.

    from thinout.compat.torchvision import drop_block2d
    from thinout.compat.timm import DropBlock2d

What they compute is what the other library means, on thinout's masks: other zeros than there for one seed, the same
ones on every device, and without the faults that are listed in each docstring.
"""
