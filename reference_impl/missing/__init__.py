"""Missing data: make gaps, tell apart why they are there, and estimate what one wants to know in spite of them.

The package reads as the unit teaches it:

- `mechanisms`: gaps of three kinds (`amputate`), and two looks at gaps that are there (`little_mcar_test`,
  `missing_by_intensity`);
- `imputation`: fill them once (`impute_knn`) or many times (`draw_regression`, `mice`);
- `pooling`: one answer from many filled tables (`pool_rubin`), and how it changes if the filling was wrong by δ
  (`delta_sensitivity`, `tipping_point`);
- `weighting`: let those who were seen stand for those who were not (`inverse_probability_mean`);
- `censoring`: gaps below a known detection limit (`censored_mean`, `censored_regression`, `impute_left_censored`);
- `study`: every treatment under every mechanism (`compare_treatments`).

Rows are samples, columns are features, a gap is NaN. Intensities are meant on the log scale.
"""

from reference_impl.missing.censoring import CensoredFit, censored_mean, censored_regression, impute_left_censored
from reference_impl.missing.imputation import draw_regression, impute_knn, mice
from reference_impl.missing.mechanisms import (
    amputate,
    complete_cases,
    little_mcar_test,
    missing_by_intensity,
    normal_moments,
)
from reference_impl.missing.pooling import Pooled, delta_sensitivity, pool_rubin, tipping_point
from reference_impl.missing.study import compare_treatments
from reference_impl.missing.weighting import inverse_probability_mean

__all__ = [
    "CensoredFit",
    "Pooled",
    "amputate",
    "censored_mean",
    "censored_regression",
    "compare_treatments",
    "complete_cases",
    "delta_sensitivity",
    "draw_regression",
    "impute_knn",
    "impute_left_censored",
    "inverse_probability_mean",
    "little_mcar_test",
    "mice",
    "missing_by_intensity",
    "normal_moments",
    "pool_rubin",
    "tipping_point",
]
