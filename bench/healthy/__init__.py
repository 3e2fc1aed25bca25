"""Set-ups that are well, of the kind that naive tools accuse."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.healthy import drift, gaps, losses, models, optimisation, samples, structures
from examples import diabetes
from unstuck import Setup


@dataclass(frozen=True)
class Healthy:
    """A set-up that is well, and the diagnosis that it is accused of."""

    name: str
    accused_of: str
    setup: Callable[[], Setup]


HEALTHY = (
    Healthy("momentum-at-a-tenth", "OPT001", optimisation.momentum_at_a_tenth),
    Healthy("rate-one", "OPT001", optimisation.rate_one),
    Healthy("fast-adam", "OPT001", optimisation.fast_adam),
    Healthy("tiny-rate", "OPT002", optimisation.tiny_rate),
    Healthy("no-momentum", "OPT014", optimisation.no_momentum),
    Healthy("rms-prop", "OPT015", optimisation.rms_prop),
    Healthy("warm-up-and-cosine", "OPT016", optimisation.warm_up_and_cosine),
    Healthy("one-cycle", "OPT016", optimisation.one_cycle),
    Healthy("drops-at-the-decays", "OPT016", optimisation.drops_at_the_decays),
    Healthy("four-at-a-time", "OPT012", optimisation.four_at_a_time),
    Healthy("full-batch", "OPT013", optimisation.full_batch),
    Healthy("gradient-accumulation", "SET006", optimisation.gradient_accumulation),
    Healthy("gradient-clipping", "SET020", optimisation.gradient_clipping),
    Healthy("summed-loss", "SET016", optimisation.summed_loss),
    Healthy("label-smoothing", "CAP003", losses.label_smoothing),
    Healthy("focal-loss", "DAT004", losses.focal_loss),
    Healthy("sigmoid-and-bce", "SET002", losses.sigmoid_and_bce),
    Healthy("softmax-and-nll", "SET002", losses.softmax_and_nll),
    Healthy("several-labels", "SET005", losses.several_labels),
    Healthy("poisson-counts", "SET005", losses.poisson),
    Healthy("gaussian-likelihood", "SET001", losses.gaussian_likelihood),
    Healthy("class-weights", "DAT004", losses.class_weights),
    Healthy("huber-on-heavy-tails", "DAT009", losses.huber_on_heavy_tails),
    Healthy("shares", "SET004", losses.shares),
    Healthy("positive-targets", "SET004", losses.positive),
    Healthy("flat-outputs", "SET001", losses.flat_outputs),
    Healthy("squared-error-on-one-hot", "SET005", losses.squared_error_on_one_hot),
    Healthy("soft-labels", "DAT005", losses.soft_labels),
    Healthy("wrong-labels", "DAT005", samples.wrong_labels),
    Healthy("overlapping-classes", "CAP001", samples.overlapping_classes),
    Healthy("weak-signal", "DAT006", samples.weak_signal),
    Healthy("diabetes", "CAP001", diabetes.setup),
    Healthy("rare-but-clear", "DAT004", samples.rare_but_clear),
    Healthy("raw-pixels", "DAT001", samples.raw_pixels),
    Healthy("batch-norm-first", "DAT001", samples.batch_norm_first),
    Healthy("distant-targets", "DAT002", samples.distant_targets),
    Healthy("thirty-tested", "MIS001", samples.thirty_tested),
    Healthy("sixty-samples", "GEN007", samples.sixty_samples),
    Healthy("iris", "DAT001", samples.iris),
    Healthy("empty-features", "DAT007", samples.empty_features),
    Healthy("harmless-drift", "MIS001", samples.harmless_drift),
    Healthy("slight-gap", "GEN001", samples.slight_gap),
    Healthy("no-validation", "GEN004", samples.no_validation),
    Healthy("outliers-in-inputs", "DAT009", samples.outliers_in_inputs),
    Healthy("diabetes-ceiling", "GEN001", gaps.diabetes_ceiling),
    Healthy("bayes-error-of-fifteen", "GEN001", gaps.bayes_error_of_fifteen),
    Healthy("small-medical-table", "GEN007", gaps.small_medical_table),
    Healthy("digits-stopped-in-time", "GEN001", gaps.digits_stopped_in_time),
    Healthy("best-epoch-kept", "GEN002", gaps.best_epoch_kept),
    Healthy("wine-table", "GEN007", gaps.wine_table),
    Healthy("noisy-friedman", "GEN001", gaps.noisy_friedman),
    Healthy("long-and-level", "GEN002", gaps.long_and_level),
    Healthy("dropout-behind-the-last-norm", "GEN006", gaps.dropout_behind_the_last_norm),
    Healthy("large-batches", "GEN005", gaps.large_batches),
    Healthy("helpful-dropout", "CAP003", models.helpful_dropout),
    Healthy("frozen-backbone", "SET009", models.frozen_backbone),
    Healthy("linear-model", "CAP001", models.linear_model),
    Healthy("two-linear-layers", "SET013", models.two_linear_layers),
    Healthy("bottleneck", "CAP002", models.bottleneck),
    Healthy("linear-autoencoder", "SET013", models.linear_autoencoder),
    Healthy("weight-tying", "SET007", models.weight_tying),
    Healthy("four-units", "CAP001", models.four_units),
    Healthy("sigmoid-layer", "OPT009", models.sigmoid_layer),
    Healthy("tanh-layers", "OPT006", models.tanh_layers),
    Healthy("sparse-units", "OPT008", models.sparse_units),
    Healthy("zero-last-layer", "OPT011", models.zero_last_layer),
    Healthy("deep-residual", "OPT018", models.deep_residual),
    Healthy("batch-norm", "MIS005", models.batch_norm),
    Healthy("two-inputs", "SET018", models.two_inputs),
    Healthy("bag-of-words", "SET018", models.bag_of_words),
    Healthy("dilated-convolutions", "SET011", models.dilated_convolutions),
    Healthy("committee", "GEN001", models.committee),
    Healthy("brighter-test", "MIS001", drift.brighter_test),
    Healthy("test-from-the-middle", "MIS001", drift.test_from_the_middle),
    Healthy("other-shares-apart", "MIS002", drift.other_shares_apart),
    Healthy("twenty-five-tested", "MIS002", drift.twenty_five_tested),
    Healthy("sixty-features", "MIS001", drift.sixty_features),
    Healthy("a-telling-feature", "MIS007", drift.a_telling_feature),
    Healthy("test-sorted-by-class", "MIS005", drift.test_sorted_by_class),
    Healthy("two-heads", "OPT017", structures.two_heads),
    Healthy("variational", "OPT017", structures.variational),
    Healthy("triplets", "OPT017", structures.triplets),
)
