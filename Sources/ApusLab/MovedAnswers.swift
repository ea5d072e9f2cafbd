import ApusData
import ApusTensor
import ApusTraining

/// What a network answers to the same images at several places.
struct MovedAnswers {
    /// The share of right answers, by place.
    let accuracy: [Double]
    /// How often two places get the same answer, right or wrong, over all pairs of places: what Zhang (2019) calls
    /// consistency, there of two random crops.
    let consistency: Double

    /// `sources` have the same images in the same order.
    init(_ evaluator: Evaluator, _ sources: [any ImageSource], _ preprocessing: Preprocessing)
        throws
    {
        precondition(sources.count > 1, "one place has nothing to agree with")
        var labels: [Int] = []
        let answers = try sources.map { source in
            labels = []
            var answers: [Int] = []
            let loader = try Loader(
                source: source, preprocessing: preprocessing,
                options: .evaluation(batchSize: evaluator.batch, workers: 1))
            defer { loader.stop() }
            while let batch = try loader.next() {
                labels += batch.labels.map(Int.init)
                let logits = evaluator.logits(batch.images)
                for row in batch.labels.indices {
                    let scores = logits.elements[
                        row * evaluator.classes..<(row + 1) * evaluator.classes]
                    let best = scores.indices.max { scores[$0] < scores[$1] } ?? scores.startIndex
                    answers.append(best - scores.startIndex)
                }
            }
            return answers
        }
        func agreement(_ one: [Int], _ other: [Int]) -> Double {
            Double(zip(one, other).count { $0 == $1 }) / Double(max(1, one.count))
        }
        accuracy = answers.map { agreement($0, labels) }
        let pairs = answers.indices.flatMap { one in
            answers[..<one].map { agreement(answers[one], $0) }
        }
        consistency = pairs.reduce(0, +) / Double(pairs.count)
    }
}
