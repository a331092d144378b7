"""Records statistics computed by statsmodels and scipy, with which analysis/tests/reference.rs compares.

    python3 -m venv venv
    venv/bin/pip install statsmodels==0.15.0 scipy==1.17.1 numpy==2.4.6
    venv/bin/python tests/reference/analysis_ols.py

Writes tests/fixtures/analysis_ols.json. Line fits and their t intervals are those of statsmodels' OLS, and the
interval of r is that of scipy's `pearsonr` (Fisher's z). The interval of the x-intercept ends at the two x at which
the t-test of "intercept + slope x = 0" has p = 0.05. They are found by bracketing; Fieller's theorem, which the Rust
code uses, has them in closed form.
"""

import csv
import json
import pathlib
import platform
import sys

import numpy
import scipy
import statsmodels
import statsmodels.api
from scipy import optimize, stats
from statsmodels.stats.proportion import proportion_confint

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT / "analysis" / "data"
OUTPUT = ROOT / "tests" / "fixtures" / "analysis_ols.json"


def zero_crossings(model, x):
    """Returns the 95% interval of the x at which the fitted line is zero; None if it is unbounded."""
    if model.pvalues[1] >= 0.05:
        return None

    def excess(at):
        return float(model.t_test([1.0, at]).pvalue) - 0.05

    centre = -model.params[0] / model.params[1]
    bounds = []
    for direction in (-1.0, 1.0):
        step = numpy.ptp(x) * 1e-3
        # If the slope barely differs from zero, the bound is very far away.
        while excess(centre + direction * step) > 0.0:
            step *= 2.0
            if step > 1e9:
                return None
        end = centre + direction * step
        bounds.append(optimize.brentq(excess, *sorted((centre, end)), xtol=1e-15, rtol=1e-14))
    return bounds


def fit(name, x, y):
    x, y = numpy.asarray(x, float), numpy.asarray(y, float)
    model = statsmodels.api.OLS(y, statsmodels.api.add_constant(x)).fit()
    correlation = stats.pearsonr(x, y)
    interval = correlation.confidence_interval(0.95)
    at = [float(x.min()), float(x.mean()), float(x.max()), 0.0]
    band = model.get_prediction([[1.0, value] for value in at]).conf_int(alpha=0.05)
    return {
        "name": name,
        "x": x.tolist(),
        "y": y.tolist(),
        "n": len(x),
        "intercept": model.params[0],
        "slope": model.params[1],
        "intercept_standard_error": model.bse[0],
        "slope_standard_error": model.bse[1],
        "intercept_interval": model.conf_int(0.05)[0].tolist(),
        "slope_interval": model.conf_int(0.05)[1].tolist(),
        "slope_p_value": model.pvalues[1],
        "r": correlation.statistic,
        "r_interval": [interval.low, interval.high] if len(x) > 3 else None,
        "r_squared": model.rsquared,
        "residual_standard_error": numpy.sqrt(model.mse_resid),
        "x_intercept": -model.params[0] / model.params[1],
        "x_intercept_interval": zero_crossings(model, x),
        "band": [[value, *bounds] for value, bounds in zip(at, band.tolist())],
    }


def published_pairs(benchmark, without=None):
    with open(DATA / "olympiads_accuracy.csv") as file:
        accuracy = {row["model"]: float(row["accuracy"]) for row in csv.DictReader(file)}
    x, y = [], []
    with open(DATA / "degradation.csv") as file:
        for row in csv.DictReader(file):
            student, teacher = row["student"], row["teacher"]
            is_left_out = without and (student.startswith(without) or teacher.startswith(without))
            if row["benchmark"] == benchmark and not is_left_out:
                x.append(accuracy[teacher] - accuracy[student])
                y.append(float(row["change"]))
    return x, y


def random_pairs(generator, n, slope, noise, shift):
    x = generator.normal(shift, 1.0, n)
    return x, slope * x + generator.normal(0.0, noise, n)


def fits():
    yield fit("olympiads", *published_pairs("olympiads"))
    for family in ("qwen", "llama", "deepseek", "gemma", "gpt", "claude"):
        yield fit(f"olympiads without {family}", *published_pairs("olympiads", family))
    for benchmark in ("ifeval", "math_500", "mmlu"):
        yield fit(benchmark, *published_pairs(benchmark))
    generator = numpy.random.default_rng(20260501)
    yield fit("three points", *random_pairs(generator, 3, 2.0, 0.05, 0.0))
    yield fit("ten noisy points", *random_pairs(generator, 10, 0.1, 3.0, 0.0))
    yield fit("far from the origin", *random_pairs(generator, 40, -1.5, 0.5, 1000.0))
    yield fit("a thousand points", *random_pairs(generator, 1000, 0.3, 1.0, 0.5))


def pass_at_k(samples, correct, k):
    return 1.0 - stats.hypergeom(samples, correct, k).pmf(0)


def bootstrap():
    """Returns the percentile bootstrap of a mean. Rust and numpy draw different random numbers, so the test compares within Monte Carlo error."""
    generator = numpy.random.default_rng(7)
    before = generator.binomial(1, 0.6, 200)
    after = numpy.where(generator.random(200) < 0.25, 0, before)
    result = stats.bootstrap(
        ((after - before).astype(float),),
        numpy.mean,
        n_resamples=200_000,
        batch=10_000,
        method="percentile",
        rng=numpy.random.default_rng(11),
    )
    return {
        "before": before.tolist(),
        "after": after.tolist(),
        "estimate": float((after - before).mean()),
        "interval": [result.confidence_interval.low, result.confidence_interval.high],
        "standard_error": result.standard_error,
    }


def main():
    wilson = [
        {
            "successes": successes,
            "trials": trials,
            "level": level,
            "interval": list(proportion_confint(successes, trials, 1.0 - level, method="wilson")),
        }
        for successes, trials in ((0, 20), (1, 20), (10, 20), (20, 20), (119, 200), (3, 10_000))
        for level in (0.8, 0.95, 0.99)
    ]
    passes = [
        {"samples": samples, "correct": correct, "k": k, "value": pass_at_k(samples, correct, k)}
        for samples, correct in ((1, 0), (1, 1), (8, 3), (64, 1), (64, 12), (64, 64), (200, 5))
        for k in (1, 2, 8, 64)
        if k <= samples
    ]
    quantiles = [
        {"freedom": freedom, "value": stats.t.ppf(0.975, freedom)}
        for freedom in (1, 2, 3, 5, 10, 34, 64, 100, 1_000, 100_000)
    ]
    record = {
        "versions": {
            "python": platform.python_version(),
            "numpy": numpy.__version__,
            "scipy": scipy.__version__,
            "statsmodels": statsmodels.__version__,
        },
        "script": "tests/reference/analysis_ols.py",
        "fits": list(fits()),
        "student_quantiles_975": quantiles,
        "wilson": wilson,
        "pass_at_k": passes,
        "bootstrap": bootstrap(),
    }
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(record, indent=1, default=float) + "\n")
    print(f"wrote {OUTPUT.relative_to(ROOT)}", file=sys.stderr)


if __name__ == "__main__":
    main()
