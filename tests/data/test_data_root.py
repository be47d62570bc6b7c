"""Which folder data are sought in."""

from pathlib import Path

from flownet.data.root import DataRoot


def test_an_explicit_folder_before_the_variable_before_the_default(monkeypatch, tmp_path):
    monkeypatch.setenv("FLOWNET_DATA", str(tmp_path / "named"))
    assert DataRoot.of(tmp_path).folder == tmp_path
    assert DataRoot.of().folder == tmp_path / "named"
    monkeypatch.delenv("FLOWNET_DATA")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    assert DataRoot.of().folder == tmp_path / "xdg" / "flownet"
    monkeypatch.delenv("XDG_DATA_HOME")
    assert DataRoot.of().folder == Path.home() / ".local/share/flownet"


def test_an_empty_variable_is_none(monkeypatch, tmp_path):
    monkeypatch.setenv("FLOWNET_DATA", "")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert DataRoot.of().folder == tmp_path / "flownet"


def test_a_path_is_sought_beside_the_graph_file_then_here_then_in_the_root(monkeypatch, tmp_path):
    beside, here, root = (tmp_path / name for name in ("beside", "here", "root"))
    for folder in (beside, here, root):
        folder.mkdir()
        (folder / "a.csv").touch()
    monkeypatch.chdir(here)
    data = DataRoot.of(root, beside=beside)
    assert data.user_path("a.csv") == beside / "a.csv"
    (beside / "a.csv").unlink()
    assert data.user_path("a.csv") == here / "a.csv"
    (here / "a.csv").unlink()
    assert data.user_path("a.csv") == root / "a.csv"
    assert data.user_path(str(root / "a.csv")) == root / "a.csv"


def test_a_missing_dataset_says_what_named_the_folder(monkeypatch, tmp_path, refused):
    monkeypatch.setenv("FLOWNET_DATA", str(tmp_path / "nowhere"))
    with refused("data-missing", tmp_path / "nowhere" / "mnist", "does not exist", "(FLOWNET_DATA)", "fetch it"):
        DataRoot.of().find("mnist", ("mnist",), ("a", "b"), "fetch it")
