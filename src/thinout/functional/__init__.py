"""Dropouts without state: checks and work are here, the modules of `thinout.nn` store arguments and call these.

Shape letters: N batch, C channels, L length, T time steps, D depth, H height, W width, F features, K samples.
"""

from thinout.functional import experimental as experimental
from thinout.functional._adaptive import information_dropout as information_dropout
from thinout.functional._adaptive import information_penalty as information_penalty
from thinout.functional._adaptive import standout as standout
from thinout.functional._alpha import alpha_dropout as alpha_dropout
from thinout.functional._alpha import feature_alpha_dropout as feature_alpha_dropout
from thinout.functional._attention import drop_attention as drop_attention
from thinout.functional._attention import drop_head as drop_head
from thinout.functional._attention import drop_key as drop_key
from thinout.functional._block_rates import drop_block_rates as drop_block_rates
from thinout.functional._channel import dropout1d as dropout1d
from thinout.functional._channel import dropout2d as dropout2d
from thinout.functional._channel import dropout3d as dropout3d
from thinout.functional._concrete import concrete_dropout as concrete_dropout
from thinout.functional._concrete import concrete_regularization as concrete_regularization
from thinout.functional._consistency import js_divergence as js_divergence
from thinout.functional._consistency import r_drop_loss as r_drop_loss
from thinout.functional._consistency import symmetric_kl as symmetric_kl
from thinout.functional._depth import stochastic_depth as stochastic_depth
from thinout.functional._depth import stochastic_depth_block as stochastic_depth_block
from thinout.functional._drop_block import drop_block1d as drop_block1d
from thinout.functional._drop_block import drop_block2d as drop_block2d
from thinout.functional._drop_block import drop_block3d as drop_block3d
from thinout.functional._drop_connect import drop_connect_linear as drop_connect_linear
from thinout.functional._drop_connect_conv import drop_connect_conv as drop_connect_conv
from thinout.functional._dropout import classic_dropout as classic_dropout
from thinout.functional._dropout import dropout as dropout
from thinout.functional._erasing import cutout as cutout
from thinout.functional._erasing import random_erasing as random_erasing
from thinout.functional._fractal import fractal_join as fractal_join
from thinout.functional._fraternal import fraternal_loss as fraternal_loss
from thinout.functional._graph import drop_edge as drop_edge
from thinout.functional._graph import drop_edge_mask as drop_edge_mask
from thinout.functional._graph import drop_message as drop_message
from thinout.functional._graph import drop_node as drop_node
from thinout.functional._graph import normalize_edges as normalize_edges
from thinout.functional._hard_concrete import hard_concrete as hard_concrete
from thinout.functional._hard_concrete import hard_concrete_l0 as hard_concrete_l0
from thinout.functional._layer_drop import layer_drop as layer_drop
from thinout.functional._locked import locked_dropout as locked_dropout
from thinout.functional._multi_sample import multi_sample_dropout as multi_sample_dropout
from thinout.functional._multi_sample import multi_sample_loss as multi_sample_loss
from thinout.functional._nested import nested_dropout as nested_dropout
from thinout.functional._noise import gaussian_dropout as gaussian_dropout
from thinout.functional._noise import gaussian_noise as gaussian_noise
from thinout.functional._noise import uout as uout
from thinout.functional._patches import hidden_cut as hidden_cut
from thinout.functional._patches import num_patches_kept as num_patches_kept
from thinout.functional._patches import patch_dropout as patch_dropout
from thinout.functional._pattern import pattern_dropout2d as pattern_dropout2d
from thinout.functional._pooling import max_pool_dropout1d as max_pool_dropout1d
from thinout.functional._pooling import max_pool_dropout2d as max_pool_dropout2d
from thinout.functional._recurrent_cells import rnndrop_cell as rnndrop_cell
from thinout.functional._recurrent_cells import semeniuta_gru_cell as semeniuta_gru_cell
from thinout.functional._recurrent_cells import semeniuta_lstm_cell as semeniuta_lstm_cell
from thinout.functional._recurrent_cells import zoneout as zoneout
from thinout.functional._sdpa import scaled_dot_product_attention as scaled_dot_product_attention
from thinout.functional._shake import shake_drop as shake_drop
from thinout.functional._shake import shake_shake as shake_shake
from thinout.functional._shakeout import shakeout_linear as shakeout_linear
from thinout.functional._sparse_variational import sparse_log_alpha as sparse_log_alpha
from thinout.functional._sparse_variational import sparse_variational_conv as sparse_variational_conv
from thinout.functional._sparse_variational import sparse_variational_linear as sparse_variational_linear
from thinout.functional._spectral import spectral_dropout as spectral_dropout
from thinout.functional._swapout import swapout as swapout
from thinout.functional._targeted import targeted_unit_dropout as targeted_unit_dropout
from thinout.functional._targeted import targeted_weight_dropout as targeted_weight_dropout
from thinout.functional._tokens import embedding_dropout as embedding_dropout
from thinout.functional._tokens import mean_of_survivors as mean_of_survivors
from thinout.functional._tokens import token_dropout as token_dropout
from thinout.functional._tokens import word_dropout as word_dropout
from thinout.functional._variational import log_uniform_kl as log_uniform_kl
from thinout.functional._variational import log_uniform_kl_polynomial as log_uniform_kl_polynomial
from thinout.functional._variational import variational_dropout as variational_dropout
from thinout.functional._variational import variational_linear as variational_linear
from thinout.functional._variational_rnn import variational_gru as variational_gru
from thinout.functional._variational_rnn import variational_lstm as variational_lstm
from thinout.functional._weight_drop import drop_weights as drop_weights

__all__ = [
    "alpha_dropout",
    "classic_dropout",
    "concrete_dropout",
    "concrete_regularization",
    "cutout",
    "drop_attention",
    "drop_block1d",
    "drop_block2d",
    "drop_block3d",
    "drop_block_rates",
    "drop_connect_conv",
    "drop_connect_linear",
    "drop_edge",
    "drop_edge_mask",
    "drop_head",
    "drop_key",
    "drop_message",
    "drop_node",
    "drop_weights",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "embedding_dropout",
    "experimental",
    "feature_alpha_dropout",
    "fractal_join",
    "fraternal_loss",
    "gaussian_dropout",
    "gaussian_noise",
    "hard_concrete",
    "hard_concrete_l0",
    "hidden_cut",
    "information_dropout",
    "information_penalty",
    "js_divergence",
    "layer_drop",
    "locked_dropout",
    "log_uniform_kl",
    "log_uniform_kl_polynomial",
    "max_pool_dropout1d",
    "max_pool_dropout2d",
    "mean_of_survivors",
    "multi_sample_dropout",
    "multi_sample_loss",
    "nested_dropout",
    "normalize_edges",
    "num_patches_kept",
    "patch_dropout",
    "pattern_dropout2d",
    "r_drop_loss",
    "random_erasing",
    "rnndrop_cell",
    "scaled_dot_product_attention",
    "semeniuta_gru_cell",
    "semeniuta_lstm_cell",
    "shake_drop",
    "shake_shake",
    "shakeout_linear",
    "sparse_log_alpha",
    "sparse_variational_conv",
    "sparse_variational_linear",
    "spectral_dropout",
    "standout",
    "stochastic_depth",
    "stochastic_depth_block",
    "swapout",
    "symmetric_kl",
    "targeted_unit_dropout",
    "targeted_weight_dropout",
    "token_dropout",
    "uout",
    "variational_dropout",
    "variational_gru",
    "variational_linear",
    "variational_lstm",
    "word_dropout",
    "zoneout",
]
