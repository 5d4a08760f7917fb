"""How good models are: scores with intervals, compared clip by clip, on clips that training did not see."""
