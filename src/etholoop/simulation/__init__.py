"""A synthetic world: rendered animals whose boxes, keypoints, identities and bouts are known, and an annotator who knows them.

Everything made here is synthetic and says so (``source = "synthetic"``): it shows that the pipeline works and is the ground truth of
the tests. It says nothing about how well a model does on animals.
"""
