import ApusTraining

/// One number of the metrics along the epochs.
struct RunCurve {
    let title: String
    let unit: String
    var isLogarithmic = false
    let value: (Metrics) -> Double?

    /// What runs with and without labels noted; a curve no run has points of is left out later.
    static func all(of runs: [RunSummary]) -> [RunCurve] {
        let areAllTrained = runs.allSatisfy {
            if case .training = $0.kind { true } else { false }
        }
        let learning: [RunCurve] =
            areAllTrained
            ? [
                RunCurve(title: "Loss", unit: "mean cross entropy") { $0.loss },
                RunCurve(title: "Error", unit: "share of wrong answers, %") {
                    100 * (1 - $0.accuracy)
                },
            ]
            : [
                RunCurve(title: "Loss", unit: "mean loss") { $0.loss },
                RunCurve(title: "Linear probe", unit: "accuracy, %") { percent($0, "linear") },
                RunCurve(title: "Nearest neighbors", unit: "accuracy, %") { percent($0, "knn") },
                RunCurve(title: "Pairs found", unit: "share of views, %") { 100 * $0.accuracy },
                RunCurve(title: "Rank of embeddings", unit: "directions in use") {
                    $0.embeddings?.rank
                },
                RunCurve(title: "Alignment of pairs", unit: "mean squared distance") {
                    $0.embeddings?.alignment
                },
            ]
        return learning + [
            RunCurve(title: "Learning rate", unit: "learning rate") { $0.learningRate },
            RunCurve(
                title: "Gradients", unit: "norm of all gradients together", isLogarithmic: true
            ) { $0.gradientNorm },
            RunCurve(title: "Speed", unit: "images a second") { $0.imagesPerSecond },
        ]
    }

    private static func percent(_ metrics: Metrics, _ kind: String) -> Double? {
        metrics.probes?[kind].map { 100 * $0 }
    }
}
