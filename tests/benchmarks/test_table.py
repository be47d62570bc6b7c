from typing import Any


def result(row: str, mode: str = "train", ratio: float = 2.0, **more: Any) -> dict[str, Any]:
    return {
        "row": row, "mode": mode, "batch": 64, "ms": {"flownet opencl": 1.0, "PyTorch": ratio}, "times_as_fast": ratio,
        "variant": {"flownet opencl": "opencl", "PyTorch": "compile"}, "disturbed": {}, "left_out": {}, "revision": "abc",
        "flops": 100e6, "bytes": 2e6, "peaks": {"gflops": 400.0, "gbytes": 20.0}, **more,
    }  # fmt: skip


def test_of_a_row_that_several_files_have_the_last_counts() -> None:
    from table import merged

    first = {"versions": ["flownet 1", "JAX 2"], "results": [result("MLP", ratio=2.0), result("CNN", ratio=3.0)]}
    second = {"versions": ["flownet 1", "PyTorch 3"], "results": [result("MLP", "infer"), result("CNN", ratio=4.0)]}
    whole = merged([first, second])
    assert whole["versions"] == ["flownet 1", "JAX 2", "PyTorch 3"]
    found = [(r["row"], r["mode"], r["times_as_fast"]) for r in whole["results"]]
    assert found == [("MLP", "train", 2.0), ("CNN", "train", 4.0), ("MLP", "infer", 2.0)]


def test_a_line_has_the_fastest_in_bold_and_shares_of_its_own_runs_peaks() -> None:
    from table import markdown

    fast = {"gflops": 500.0, "gbytes": 20.0}
    rows = [result("MLP", ratio=2.0), result("CNN", ratio=8.0, peaks=fast), result("XOR", "infer", ratio=0.5)]
    lines = markdown({"versions": [], "results": rows}).splitlines()
    assert "| MLP (64) | **1** | 2 (compile) | 2.00 | 25% | 10% |" in lines  # 100 GFLOP/s of 400, 2 GB/s of 20
    assert "| CNN (64) | **1** | 8 (compile) | 8.00 | 20% | 10% |" in lines
    assert "| XOR (64) | 1 | **0.5 (compile)** | 0.50 | 25% | 10% |" in lines
    assert "| geometric mean |  |  | 4.00 | | |" in lines  # of 2 and 8
    assert "Measured in the same runs: 400 to 500 GFLOP/s of multiply-adds, 20.0 GB/s." in lines


def test_the_foot_tells_what_was_left_out_of_which_rows() -> None:
    from table import markdown

    late = {"left_out": {"tinygrad clang+beam": "no answer"}}
    rows = [result("MLP", **late), result("CNN", **late), result("CNN", "infer", **late)]
    foot = markdown({"versions": [], "results": rows}).splitlines()[-2:]
    assert foot == [
        "- tinygrad clang+beam is left out, inference, CNN: no answer",
        "- tinygrad clang+beam is left out, training step, MLP, CNN: no answer",
    ]
