"""The street of the demonstration: drawn scenes with ground truth, and the training of the detector for them."""
