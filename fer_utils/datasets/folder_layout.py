"""What a folder's paths, or its labels.csv, say of each image: its emotion, its split, and who is in it."""

import re
from collections import Counter, defaultdict
from functools import cache

from ..emotions import EMOTIONS, label_of
from ..errors import FerError
from .face_dataset import label_of_folder
from .files import is_image, portable, read_table

SPLITS = {"train": "train(ing)?", "validation": "val(id|idation)?|dev|publictest",
          "test": "test(ing)?|eval(uation)?|privatetest"}
SPLIT = r"(fer|raf|rafdb|images?|faces|data)?({})(set|data|images?|faces|split|labels?)?"
# Numbers of persons as public sets write them: P001, s12, subject 3, 007; bare years, days and versions are none.
PERSON = re.compile(r"((?:[psfm]|id|subj?|subject|person|participant|actor|user)[ _-]?\d+|\d{2,3})", re.IGNORECASE)
# In the file names of CK+, KDEF (A and B are sessions) and JAFFE, and by a word for it.
IN_FILE = re.compile(r"(S\d{3})_\d{3}_\d{8}\b|[AB]([FM]\d\d)[A-Z]{3,4}\.|([A-Z]{2})\.[A-Z]{2}\d\.\d|"
                     r"((?:subj?|subject|person|participant|actor)[ _-]?\d+)[ _.-]")
COLUMNS = {"file": ("filename", "file", "imagename", "image", "path", "filepath", "imagepath", "img", "photo", "name"),
           "emotion": ("emotion", "emotions", "expression", "emotionlabel", "label", "labels", "class", "category"),
           "person": ("person", "personid", "subject", "subjectid", "identity", "participant", "actor"),
           "split": ("split", "usage", "set", "subset", "partition")}
TABLE = 50_000_000  # bytes of a labels.csv


def described(files, where, above, skip_unknown):
    """([(name, label, split or None, person or None)], what was left out or decided, as texts) of a folder's images."""
    images, gone = [name for name, _ in files if is_image(name)], Counter()
    if not images:
        raise FerError(f"{where}: no image in it; expected <emotion>/*.jpg or *.png.")
    tables = [(name, read) for name, read in files if name.lower().endswith((".csv", ".tsv"))]
    tables = [table for table in tables if "label" in table[0].lower()] or tables
    if tables and not any(label_of(name.split("/")[-2]) is not None for name in images if "/" in name):
        rows, depth = list(_rows(images, tables, where, skip_unknown, gone)), -1
    else:
        rows, depth = [(name, _label(name, where, skip_unknown, gone), None, None) for name in images], -2
    rows = [row for row in rows if row[1] is not None]
    if not rows:
        raise FerError(f"{where}: no image has one of the emotions {', '.join(EMOTIONS)}.")
    names, labels, splits, persons = (list(part) for part in zip(*rows))
    folders = [name.split("/")[:depth] for name in names]
    notes = [f"{sum(gone.values())} left out ({', '.join(f'{n} {what}' for what, n in gone.items())})"] if gone else []
    if any(splits) and None in splits:
        raise FerError(f"{where}: {names[splits.index(None)]} has no split in its table, and others have; give it one.")
    if not any(splits):
        splits = _splits(names, folders, where)
    if "validation" in splits and "test" not in splits:
        splits = ["test" if split == "validation" else split for split in splits]
        notes.append("its validation images are the test")
    if None in persons:
        persons = _persons(names, folders, splits, where, above)
    return list(zip(names, labels, splits, persons, strict=True)), notes


def _label(name, where, skip_unknown, gone):
    if skip_unknown and label_of((name.split("/")[-2:-1] or [""])[0]) is None:
        gone[(name.split("/")[-2:-1] or ["without a folder"])[0]] += 1
        return None
    return label_of_folder(name, where)


@cache
def split_of(folder):
    """The split that a folder or a cell is named after in one of the usual spellings, or None."""
    plain = re.sub("[^a-z]", "", folder.lower())
    return next((split for split, words in SPLITS.items() if re.fullmatch(SPLIT.format(words), plain)), None)


def _splits(names, folders, where):
    """By any folder above an image that names one; all None where none does."""
    shared = set.intersection(*map(set, folders))
    found = [{split_of(folder) for folder in above if folder not in shared} - {None} for above in folders]
    if not any(found):  # only train/, or a folder around all that is called so
        found = [{split_of(folder) for folder in above} - {None} for above in folders]
    divided = any(found)
    for name, words in zip(names, found):
        if divided and len(words) != 1:
            raise FerError(f"{where}: {name} lies {'in two of' if words else 'outside'} train/, validation/ and test/, "
                           "which others lie in; put it into one of them.")
    return [next(iter(words), None) for words in found]


def _persons(names, folders, splits, where, above):
    """By the folders that tell an image from others of its split, or by its file's name; all None where none does."""
    rest = [[folder for folder in upper if split_of(folder) is None] for upper in folders]
    everywhere = set.intersection(*map(set, rest))
    around = {split: set.intersection(*(set(part) for part, of in zip(rest, splits) if of == split))
              for split in set(splits)}
    rest = [[folder for folder in part if folder not in everywhere
             and (PERSON.fullmatch(folder) or folder not in around[split])] for part, split in zip(rest, splits)]
    if above == "persons":
        return ["/".join(part) or name for part, name in zip(rest, names)]
    if above == "nothing" or not any(rest):
        found = [IN_FILE.match(name.split("/")[-1]) for name in names]
        return [match[match.lastindex] for match in found] if all(found) else [None] * len(names)
    for name, part in zip(names, rest):
        if len(part) != 1 or not PERSON.fullmatch(part[0]):
            raise FerError(f"{where}: {name}: does the folder {'/'.join(part) or 'without a name'} say who is in it? "
                           "Give above='persons' (in data_options), and nobody will be in two splits; with "
                           "above='nothing' such folders are one set; name what was set aside train/, validation/ or "
                           "test/.")
    return [part[0] for part in rest]


def _rows(images, tables, where, skip_unknown, gone):
    """(name, label, split or None, person or None) of each image that the tables list."""
    index, seen, faults = defaultdict(set), {}, defaultdict(list)
    for name in images:
        file = name.split("/")[-1].casefold()
        for key in (name, name.casefold(), file, file.rpartition(".")[0]):
            index[key].add(name)
    for table, read in tables:
        place = f"{where}: {table}"
        header, *rows = read_table(read(TABLE), place)
        plain = [re.sub("[^a-z]", "", cell.lower()) for cell in header]
        at = {what: next((plain.index(word) for word in words if word in plain), None)
              for what, words in COLUMNS.items()}
        if at["file"] is None or at["emotion"] is None:
            raise FerError(f"{place}: a table with the columns {', '.join(header)[:200]}; expected a file name and an "
                           "emotion, as in 'file,emotion'.")
        inside = table.rpartition("/")[0] + "/" * ("/" in table)
        for cells in rows:
            told = {what: cells[column] for what, column in at.items() if column is not None}
            file = portable(told["file"])
            found = next(filter(None, (index.get(key) for key in (
                inside + file, file, (inside + file).casefold(), file.split("/")[-1].casefold()))), set())
            label, name = label_of(told["emotion"]), min(found, default=None)
            if len(found) > 1 or seen.get(name, label) != label:
                raise FerError(f"{place}: {file} is {'two images: ' if len(found) > 1 else 'listed twice: '}"
                               f"{' and '.join(sorted(found)[:2])}; keep what is right.")
            if label is None:
                faults[f"emotion {told['emotion']!r}"].append(file)
            elif name is None:
                faults["no such image"].append(file)
            elif name not in seen:
                split = split_of(told.get("split") or table.rpartition("/")[2][:-4])  # train_labels.csv
                yield name, label, split, told.get("person") or None
            if name is not None:
                seen[name] = label
    faults["not listed"] = [name for name in images if name not in seen]
    for what, listed in faults.items():
        if listed and not skip_unknown:
            raise FerError(f"{where}: {len(listed)} images of the table: {what}: {', '.join(listed[:5])} …; mend the "
                           f"table or the folder, or leave such images out by skip_unknown=True (in data_options).")
        gone.update({what: len(listed)} if listed else {})
