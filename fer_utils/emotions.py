"""The seven classes in their one order, each data set's own codes for them, and how they look in a figure."""

# Alphabetical, as torchvision's ImageFolder would sort the folders of RAF-DB's English names.
EMOTIONS = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")

# FER+ has an eighth, which is left out unless somebody asks for it; then it comes last.
CONTEMPT = "contempt"

# FER2013 and folders in the wild use adjectives; RAF-DB and the literature use nouns.
ALIASES = {"angry": "anger", "happy": "happiness", "sad": "sadness", "fearful": "fear", "disgusted": "disgust",
           "surprised": "surprise"}

# The codes in fer2013.csv: 0 angry, 1 disgust, 2 fear, 3 happy, 4 sad, 5 surprise, 6 neutral.
FER2013_CODES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")

# The codes of RAF-DB, as they stand in its label file.
RAFDB_CODES = {"1": "surprise", "2": "fear", "3": "disgust", "4": "happiness", "5": "sadness", "6": "anger",
               "7": "neutral"}

# Okabe and Ito's palette, which stays distinct under the common colour-vision deficiencies;
# each class also has a marker of its own, so that no figure depends on colour alone.
COLOURS = {"anger": "#D55E00", "disgust": "#009E73", "fear": "#CC79A7", "happiness": "#E69F00",
           "neutral": "#5F5F5F", "sadness": "#0072B2", "surprise": "#56B4E9", CONTEMPT: "#000000"}
MARKERS = {"anger": "^", "disgust": "s", "fear": "X", "happiness": "o", "neutral": "P", "sadness": "v", "surprise": "D",
           CONTEMPT: "*"}


def label_of(name):
    """The class index of an emotion's name in any spelling of ``ALIASES``, or None for an unknown name."""
    name = name.strip().lower()
    name = ALIASES.get(name, name)
    return EMOTIONS.index(name) if name in EMOTIONS else None
