"""What parity tests share. The numbers themselves: `from tests.parity.recordings import recorded`.

@recorded("hmr2_tiny")
def test_...(recording: Recording) -> None:
    weights = rules.weight(recording.variant, key, shape)
    np.testing.assert_allclose(..., recording["pred_cam"])
"""
