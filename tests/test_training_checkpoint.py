# Cut off and resumed


def cut_off_in_epoch_2(monkeypatch, where):
    """Ends the training as Ctrl+C does: in the second validation, the seventh step or the second checkpoint."""
    name = {"validation": "_validate", "step": "training_step", "checkpoint": "save"}[where]
    owner = torch if where == "checkpoint" else training
    real, calls, last = getattr(owner, name), [], {"validation": 2, "step": 7, "checkpoint": 2}[where]

    def cut(*args, **parts):
        calls.append(None)
        if len(calls) == last:
            if where == "checkpoint":
                args[1].write_bytes(b"half of a checkpoint")
            raise KeyboardInterrupt
        return real(*args, **parts)

    monkeypatch.setattr(owner, name, cut)


@pytest.mark.parametrize("where", ["validation", "step", "checkpoint"])
@pytest.mark.parametrize("schedule", ["constant", "one_cycle"])
@pytest.mark.parametrize("backbone", ["tiny", "tiny dropout"])
def test_a_resumed_training_ends_like_one_that_was_never_cut_off(faces, tiny_network, make_recipe, tmp_path, where,
                                                                 monkeypatch, assert_same_state, schedule, backbone):
    recipe = make_recipe(epochs=3, schedule=schedule, backbone=backbone)
    torch.manual_seed(0)
    whole = train(faces, recipe)
    with monkeypatch.context() as patch:
        cut_off_in_epoch_2(patch, where)
        with pytest.raises(KeyboardInterrupt):
            train(faces, recipe, folder=tmp_path)
    resumed = train(faces, recipe, folder=tmp_path)
    assert_same_training(whole, resumed, assert_same_state)


def test_a_resumed_resnet18_ends_like_one_that_was_never_cut_off(faces, make_recipe, tmp_path, monkeypatch,
                                                                 assert_same_state):
    recipe = make_recipe(epochs=2, schedule="one_cycle")
    whole = train(faces, recipe)
    with monkeypatch.context() as patch:
        cut_off_in_epoch_2(patch, "validation")
        with pytest.raises(KeyboardInterrupt):
            train(faces, recipe, folder=tmp_path)
    assert_same_training(whole, train(faces, recipe, folder=tmp_path), assert_same_state)


def test_resuming_trains_the_missing_epochs_only(faces, tiny_network, make_recipe, tmp_path, monkeypatch, steps_seen):
    with monkeypatch.context() as patch:
        cut_off_in_epoch_2(patch, "validation")
        with pytest.raises(KeyboardInterrupt):
            train(faces, make_recipe(epochs=3), folder=tmp_path)
    steps_seen.clear()
    train(faces, make_recipe(epochs=3), folder=tmp_path)
    assert len(steps_seen) == 2 * 4


@pytest.mark.parametrize("epochs, patience", [(2, 6), (6, 1)], ids=["all epochs", "stopped early"])
def test_a_finished_training_is_not_trained_again(faces, tiny_network, make_recipe, tmp_path, monkeypatch, steps_seen,
                                                  assert_same_state, epochs, patience):
    validations(monkeypatch, [0.5, 0.4, 0.3, 0.2, 0.1, 0.0])
    first = train(faces, make_recipe(epochs=epochs, patience=patience), folder=tmp_path)
    steps_seen.clear()
    second = train(faces, make_recipe(epochs=epochs, patience=patience), folder=tmp_path)
    assert steps_seen == []
    assert_same_training(first, second, assert_same_state)


def test_a_folder_changes_nothing_about_the_outcome(faces, tiny_network, make_recipe, tmp_path, assert_same_state):
    with_folder = train(faces, make_recipe(), folder=tmp_path / "not" / "there" / "yet")
    assert_same_training(train(faces, make_recipe()), with_folder, assert_same_state)
    assert [path.name for path in (tmp_path / "not" / "there" / "yet").iterdir()] == ["last.pt"]


@pytest.mark.parametrize("change", ["recipe", "backbone", "alpha", "seed", "data", "engine"])
def test_a_checkpoint_of_another_training_is_refused(faces, tiny_network, make_recipe, tmp_path, monkeypatch, change):
    train(faces, make_recipe(), folder=tmp_path)
    recipe, seed = make_recipe(), 0
    if change == "recipe":
        recipe = make_recipe(learning_rate=2e-3)
    elif change == "backbone":
        recipe = make_recipe(backbone="resnet50")
    elif change == "alpha":
        recipe = make_recipe(alpha=0.5)
    elif change == "seed":
        seed = 1
    elif change == "data":
        faces = (faces[0].subset(np.arange(64)[::-1]), faces[1])
    else:
        monkeypatch.setattr(training, "ENGINE", ENGINE + 1)
    with pytest.raises(FerError, match="last.pt: a checkpoint of another training") as caught:
        train(faces, recipe, seed, folder=tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_checkpoint_with_another_alpha_serves_softmax_training(faces, tiny_network, make_recipe, tmp_path,
                                                                 steps_seen):
    train(faces, make_recipe(lam=0, alpha=1.9), folder=tmp_path)
    steps_seen.clear()
    train(faces, make_recipe(lam=0, alpha=0.5), folder=tmp_path)
    assert steps_seen == []


@pytest.mark.parametrize("damage", [lambda content: b"", lambda content: b"garbage", lambda content: content[:1000],
                                    lambda content: content[:-1000], lambda content: content[:len(content) // 2]],
                         ids=["empty", "garbage", "first bytes", "last bytes cut", "half"])
def test_a_damaged_checkpoint_is_named(faces, tiny_network, make_recipe, tmp_path, damage):
    train(faces, make_recipe(), folder=tmp_path)
    (tmp_path / "last.pt").write_bytes(damage((tmp_path / "last.pt").read_bytes()))
    with pytest.raises(FerError, match="last.pt: this checkpoint cannot be read.*delete it to start again"):
        train(faces, make_recipe(), folder=tmp_path)


@pytest.mark.parametrize("content", [[1, 2], {"model": {}}, {}, torch.zeros(2)])
def test_a_file_that_is_no_checkpoint_of_ours_is_refused(faces, tiny_network, make_recipe, tmp_path, content):
    torch.save(content, tmp_path / "last.pt")
    with pytest.raises(FerError, match="last.pt: a checkpoint of another training"):
        train(faces, make_recipe(), folder=tmp_path)



# Faults while training


@pytest.mark.parametrize("value", [NAN, INF])
@pytest.mark.parametrize("which", [0, 1], ids=["cross-entropy", "centre loss"])
def test_a_loss_that_is_not_finite_ends_the_training_and_is_named(faces, tiny_network, make_recipe, tmp_path,
                                                                  monkeypatch, value, which):
    step, calls = training.training_step, []

    def broken(*args, **parts):
        calls.append(None)
        results = step(*args, **parts)
        results[which] = value if len(calls) == 6 else results[which]
        return results

    monkeypatch.setattr(training, "training_step", broken)
    with pytest.raises(FerError, match="epoch 2: the loss is no longer finite.*lower learning_rate, lam or alpha"):
        train(faces, make_recipe(epochs=3), folder=tmp_path)
    saved = torch.load(tmp_path / "last.pt", weights_only=True)
    assert [row["epoch"] for row in saved["history"]] == [1]  # the checkpoint is from before


