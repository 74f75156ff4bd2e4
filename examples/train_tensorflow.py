"""Train with TensorFlow.

python examples/train_tensorflow.py [FOLDER]
"""

import sys

import tensorflow as tf

from bigwig_loader.dataset import BigWigDataset
from bigwig_loader.download_example_data import make_example_data
from bigwig_loader.tensorflow import as_tf_dataset


def make_model(n_tracks: int) -> tf.keras.Model:
    """(batch, 2000, 4) one-hot sequence -> (batch, 100, n_tracks) signal in bins of 10 bp."""
    layers = tf.keras.layers
    return tf.keras.Sequential(
        [
            layers.Input((2000, 4)),
            layers.Conv1D(16, 21, padding="same", activation="relu"),
            layers.AveragePooling1D(10),
            layers.Cropping1D(50),
            layers.Dense(n_tracks, activation="softplus"),
        ]
    )


def main(folder: str = "example_data", batches_per_epoch: int = 20) -> float:
    data = make_example_data(folder)
    dataset = BigWigDataset(
        regions_of_interest=data.train_regions,
        collection=data.bigwig_dir,
        reference_genome_path=data.reference_genome,
        sequence_length=2000,
        center_bin_to_predict=1000,
        window_size=10,
        batch_size=32,
        batches_per_epoch=batches_per_epoch,
        seed=0,
    )
    model = make_model(len(data.bigwigs))
    optimizer = tf.keras.optimizers.AdamW(1e-2)

    @tf.function
    def train_step(sequences: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            predicted = model(sequences, training=True)
            loss = tf.reduce_mean(predicted - values * tf.math.log(predicted + 1e-8))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    # Each iteration is an epoch; model.fit takes the tf.data.Dataset as well.
    for step, (sequences, values) in enumerate(as_tf_dataset(dataset)):
        loss = float(train_step(sequences, values))
        print(f"batch {step}: {tuple(values.shape)} values, loss {loss:.3f}")
    return loss


if __name__ == "__main__":
    main(*sys.argv[1:])
