import pytest

from brain2music import _core


@pytest.fixture
def load(tmp_path):
    def load_bytes(data, *span, name="x.bin"):
        path = tmp_path / name
        path.write_bytes(data)
        waveform, _ = _core.io.load_audio(path, *span)
        return waveform.T

    return load_bytes


@pytest.fixture
def refused(load):
    def is_refused(data, message, *span, name="x.bin"):
        with pytest.raises(RuntimeError, match=message) as caught:
            load(data, *span, name=name)
        assert name in str(caught.value)

    return is_refused
