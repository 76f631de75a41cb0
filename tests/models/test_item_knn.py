from bowerbird.testing import ModelConformance


class TestItemKnn(ModelConformance):
    name = "item_knn"
    solves_checkerboard = True
    can_update = True
    can_explain = True
