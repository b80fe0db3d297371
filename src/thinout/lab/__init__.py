"""The laboratory: real data, cases, training, studies and their reports (needs the extra `thinout[lab]`)."""
