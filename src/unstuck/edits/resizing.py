"""Giving a layer another width in place: name, hooks, dtype and device stay, its weights are drawn anew."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn

LINEAR: Final = (nn.Linear,)
CONVOLUTIONS: Final = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)
RECURRENT: Final = (nn.GRU, nn.LSTM, nn.RNN)
CHANNEL_NORMS: Final = (nn.modules.batchnorm._NormBase, nn.GroupNorm)

Sizes = tuple[int, ...]
"""What determines a layer: (inputs, outputs) of a producer, the normalised shape or channels of a follower."""


def is_producer(module: nn.Module) -> bool:
    """Whether a layer has an output width of its own."""
    if type(module) in CONVOLUTIONS:
        return not is_depthwise(module)
    return type(module) in (*LINEAR, *RECURRENT) and not getattr(module, "proj_size", 0)


def is_depthwise(module: Any) -> bool:
    """Whether a convolution keeps channels apart, so that its width is that of its input."""
    return type(module) in CONVOLUTIONS and module.groups == module.in_channels > 1


def is_follower(module: nn.Module) -> bool:
    """Whether a layer's width is that of its input."""
    if isinstance(module, nn.PReLU):
        return True
    return is_depthwise(module) or isinstance(module, (*CHANNEL_NORMS, nn.LayerNorm))


def width(module: Any) -> int:
    """The output width of a producer."""
    if type(module) in CONVOLUTIONS:
        return int(module.out_channels)
    return int(module.hidden_size if type(module) in RECURRENT else module.out_features)


def sizes_for(module: Any, arriving: Tensor, outputs: int | None) -> Sizes:
    """The sizes that fit an input.

    Args:
        module: A producer or follower.
        arriving: Its input.
        outputs: Of a producer, its output width; None for a follower.

    Returns:
        The sizes.
    """
    if outputs is not None:
        channels = type(module) in CONVOLUTIONS
        spatial = len(module.kernel_size) if channels else 0
        return int(arriving.shape[-1 - spatial]), outputs
    if isinstance(module, nn.LayerNorm):
        return tuple(arriving.shape[-len(module.normalized_shape) :])
    if isinstance(module, nn.PReLU):
        return (int(arriving.shape[1]) if module.num_parameters > 1 else 1,)
    return (int(arriving.shape[1]),)


def sizes_of(module: Any) -> Sizes:
    """The sizes that a producer or follower has."""
    if type(module) in CONVOLUTIONS:
        inputs = int(module.in_channels)
        return (inputs,) if is_depthwise(module) else (inputs, int(module.out_channels))
    if type(module) in RECURRENT:
        return int(module.input_size), int(module.hidden_size)
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    if isinstance(module, nn.LayerNorm):
        return tuple(module.normalized_shape)
    if isinstance(module, nn.PReLU):
        return (module.num_parameters,)
    return (int(module.num_channels if isinstance(module, nn.GroupNorm) else module.num_features),)


def resize(module: Any, sizes: Sizes) -> None:
    """Give a layer other sizes and fresh weights, where they differ from what it has.

    Args:
        module: A producer or follower, changed in place.
        sizes: As of `sizes_for`.

    Raises:
        ValueError: If the sizes do not fit its groups.
    """
    if sizes == sizes_of(module):
        return
    fresh = _fresh(module, sizes)
    for name, parameter in fresh.named_parameters(recurse=False):
        old = getattr(module, name)
        new = nn.Parameter(parameter.detach().to(old.device, old.dtype), requires_grad=old.requires_grad)
        setattr(module, name, new)
    for name, buffer in fresh.named_buffers(recurse=False):
        old = getattr(module, name)
        setattr(module, name, buffer.to(old.device, old.dtype))
    for name in _NAMES:
        if hasattr(fresh, name):
            setattr(module, name, getattr(fresh, name))
    if type(module) in RECURRENT:
        module._init_flat_weights()


_NAMES: Final = (
    "in_features out_features in_channels out_channels groups input_size hidden_size num_features num_channels "
    "normalized_shape num_parameters"
).split()


def _fresh(module: Any, sizes: Sizes) -> nn.Module:
    """A new layer of the same kind and settings with other sizes."""
    if type(module) in CONVOLUTIONS:
        depthwise = is_depthwise(module)
        inputs = sizes[0]
        outputs = inputs * (module.out_channels // module.in_channels) if depthwise else sizes[1]
        groups = inputs if depthwise else module.groups
        settings = {
            "kernel_size": module.kernel_size,
            "stride": module.stride,
            "padding": module.padding,
            "dilation": module.dilation,
            "groups": groups,
            "bias": module.bias is not None,
        }
        if hasattr(module, "output_padding") and module.transposed:
            settings["output_padding"] = module.output_padding
        return _made(type(module), inputs, outputs, **settings)
    if type(module) in RECURRENT:
        settings = {
            "num_layers": module.num_layers,
            "bias": module.bias,
            "batch_first": module.batch_first,
            "bidirectional": module.bidirectional,
        }
        return _made(type(module), *sizes, **settings)
    if isinstance(module, nn.Linear):
        return _made(nn.Linear, *sizes, bias=module.bias is not None)
    if isinstance(module, nn.LayerNorm):
        return nn.LayerNorm(
            list(sizes), module.eps, module.elementwise_affine, bias=getattr(module, "bias", None) is not None
        )
    if isinstance(module, nn.PReLU):
        return nn.PReLU(sizes[0], float(module.weight.detach().flatten()[0]))
    if isinstance(module, nn.GroupNorm):
        return nn.GroupNorm(module.num_groups, sizes[0], module.eps, module.affine)
    return _made(type(module), sizes[0], affine=module.affine, track_running_stats=module.track_running_stats)


def _made(kind: Any, *arguments: Any, **settings: Any) -> nn.Module:
    with torch.device("cpu"):  # drawn where the random state is seeded, then moved
        made: nn.Module = kind(*arguments, **settings)
    return made
