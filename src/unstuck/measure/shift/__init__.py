"""How the test data differ from the training data: in inputs, in shares of classes, in what the labels mean."""
