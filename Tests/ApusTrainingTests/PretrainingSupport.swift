import ApusData
import ApusFiles
import ApusGraph
import ApusRuntime
import ApusTensor
import Foundation

import ApusTraining

/// A small recipe of six steps in three epochs, with everything that has state.
func pretrainingRecipe(
    _ method: PretrainingRecipe.Method = .simclr, model: Network = tinyNetwork(),
    head: ProjectionHead = .mlp(layers: 2, width: 16, dimension: 8)
) throws -> PretrainingRecipe {
    var recipe = try PretrainingRecipe(
        method, model: model, head: head, width: 16, data: "squares",
        classNames: ["first", "second", "third"],
        preprocessing: Preprocessing(channels: 1, mean: [0.4], deviation: [0.2]),
        views: [
            Augmentation(randomCropPadding: 1, horizontalFlip: true),
            Augmentation(randomCropPadding: 2),
        ], threads: 1)
    recipe.epochs = 3
    recipe.batch = 32
    recipe.chunk = 16
    recipe.optimizer = .defaultLARS
    recipe.learningRate = 0.5
    recipe.warmupEpochs = 1
    recipe.weightDecay = 1e-4
    recipe.targetMomentum = 0.9
    recipe.seed = 5
    return recipe
}

/// A network without batch norm: what is computed for an image depends on no other.
func plainNetwork(dropout: Float = 0) -> Network {
    Network("plain", input: [1, 12, 12]) {
        Convolution("conv", 8, kernel: 3)
        Activation(.relu)
        MaxPool(kernel: 2)
        Flatten()
        Dense("hidden", 12)
        Dropout(dropout)
        Activation(.tanh)
        Dense("classes", 3)
    }
}
