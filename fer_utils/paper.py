"""What the paper printed, as data: its tables and figures, each with the place that it was taken from.

*Learning discriminative emotional features from facial images via ResNet50 with center loss* (CL-ResNet50, 2023).
Data sets go by their names here, losses are "softmax" and "center"; classes stand in the order of ``EMOTIONS``.
Accuracy and F1 are in percent and are the test set's, of one run each.
"""

# Table 2: training images per class. FER2013's are the 28,709 of its Training rows, RAF-DB's the 12,271 of its train.
TRAIN_COUNTS = {"rafdb": (705, 717, 281, 4772, 2524, 1982, 1290),
                "fer2013": (3995, 436, 4097, 7215, 4965, 4830, 3171)}

# Table 3.
TABLE_3 = {"rafdb": {"softmax": {"accuracy": 76.239, "f1": 75.580}, "center": {"accuracy": 78.683, "f1": 77.996}},
           "fer2013": {"softmax": {"accuracy": 62.079, "f1": 61.566}, "center": {"accuracy": 63.402, "f1": 62.487}}}

# Not printed, and found out from Table 3: the three decimals of its accuracies belong to these numbers of images, of
# RAF-DB's test split and of FER2013's PublicTest and PrivateTest together, and to these numbers of right answers.
TEST_SIZES = {"rafdb": 3068, "fer2013": 7178}
RIGHT = {"rafdb": {"softmax": 2339, "center": 2414}, "fer2013": {"softmax": 4456, "center": 4551}}

# Eq. 3 and the text: λ of all runs with centre loss, and the α of Table 3's.
LAM, ALPHA = 0.2, 1.9

# Fig. 4: test accuracy against α at λ = 0.2, one run a point, read off the curve; none is off by more than READING.
ALPHAS = (1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 2.0)
FIG_4 = {"rafdb": (78.9, 77.7, 77.8, 78.0, 77.4, 78.8, 77.7, 79.2, 77.5, 78.7, 78.2),
         "fer2013": (58.2, 61.6, 59.3, 60.7, 58.9, 59.3, 60.8, 58.7, 62.4, 63.4, 61.2)}
READING = 0.1

# Figs. 2 and 3, the confusion matrices: what fear is taken for, as (true, answered, share of the true class); the
# classes that are recognised best and worst; FER2013's recall of disgust.
CONFUSED = {"rafdb": ("fear", "surprise", 0.30), "fer2013": ("fear", "sadness", 0.24)}
BEST_RECOGNISED, WORST_RECOGNISED = "happiness", "disgust"
DISGUST_RECALL = 0.37

# Not printed, and found out from Figs. 2 and 3: their recalls times the sizes of the test classes give an accuracy
# between these two. Table 3's with centre loss lies in neither, so the figures show other runs than its.
FIGURES_IMPLY = {"rafdb": (77.0, 77.7), "fer2013": (61.9, 62.8)}
