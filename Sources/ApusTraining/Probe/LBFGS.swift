/// Minimizes smooth functions with a limited memory of their curvature (Liu and Nocedal 1989;
/// Nocedal and Wright 2006, algorithm 7.5). Deterministic, in double precision.
package struct LBFGS: Sendable {
    /// Pairs of steps and gradient changes remembered.
    package var memory = 20
    package var maximumIterations = 1000
    /// Stops where no component of the gradient is larger.
    package var gradientTolerance = 1e-5
    /// Stops where an iteration gains less than this share of the value: what is summed in 32 bits
    /// knows no better.
    package var valueTolerance = 1e-9

    package init() {}

    package struct Result: Hashable, Sendable {
        package var point: [Double]
        package var value: Double
        /// The largest component of the gradient.
        package var gradientNorm: Double
        package var iterations: Int
        /// Evaluations of function and gradient, those of line searches included.
        package var evaluations: Int
    }

    /// Minimizes from `start`. `function` gives the value at a point and writes the gradient there.
    package func minimize(
        from start: [Double],
        _ function: (_ point: [Double], _ gradient: inout [Double]) throws -> Double
    ) rethrows -> Result {
        var gradient = [Double](repeating: 0, count: start.count)
        let value = try function(start, &gradient)
        var result = Result(
            point: start, value: value, gradientNorm: largest(gradient), iterations: 0,
            evaluations: 1)
        var steps: [[Double]] = []
        var changes: [[Double]] = []
        while result.iterations < maximumIterations, result.gradientNorm > gradientTolerance {
            var direction = self.direction(gradient, steps, changes)
            var slope = dot(direction, gradient)
            if slope >= 0 {
                // Rounding spoiled the curvature: begin again downhill.
                steps = []
                changes = []
                direction = gradient.map { -$0 }
                slope = dot(direction, gradient)
            }
            // Without a memory nothing is known about the length of a step.
            let first = steps.isEmpty ? min(1, 1 / dot(gradient, gradient).squareRoot()) : 1
            let found = try search(
                from: result, direction, slope: slope, first: first, function)
            result.evaluations += found.evaluations
            guard let next = found.next else { break }
            result.iterations += 1
            let step = direction.map { $0 * next.length }
            let change = zip(next.gradient, gradient).map { $0 - $1 }
            if dot(step, change) > 0 {
                steps.append(step)
                changes.append(change)
                if steps.count > memory {
                    steps.removeFirst()
                    changes.removeFirst()
                }
            }
            let gain = result.value - next.value
            result.point = next.point
            result.value = next.value
            gradient = next.gradient
            result.gradientNorm = largest(gradient)
            if gain <= valueTolerance * abs(result.value) { break }
        }
        return result
    }

    /// -H g by the two loops over the remembered pairs.
    private func direction(
        _ gradient: [Double], _ steps: [[Double]], _ changes: [[Double]]
    ) -> [Double] {
        var q = gradient.map { -$0 }
        var factors: [Double] = []
        for (step, change) in zip(steps, changes).reversed() {
            let factor = dot(step, q) / dot(change, step)
            factors.append(factor)
            add(-factor, change, to: &q)
        }
        if let step = steps.last, let change = changes.last {
            let scale = dot(step, change) / dot(change, change)
            for i in q.indices { q[i] *= scale }
        }
        for ((step, change), factor) in zip(zip(steps, changes), factors.reversed()) {
            add(factor - dot(change, q) / dot(change, step), step, to: &q)
        }
        return q
    }

    private struct Place {
        var length: Double
        var point: [Double]
        var value: Double
        var gradient: [Double]
    }

    /// Finds a length that fulfills the weak Wolfe conditions by doubling and halving (Lewis and
    /// Overton 2013), or, where rounding hides them, nothing.
    private func search(
        from here: Result, _ direction: [Double], slope: Double, first: Double,
        _ function: (_ point: [Double], _ gradient: inout [Double]) throws -> Double
    ) rethrows -> (next: Place?, evaluations: Int) {
        var low = 0.0
        var high = Double.infinity
        var length = first
        // The best place that goes down far enough, in case none is flat enough.
        var best: Place?
        for evaluation in 1...30 {
            var point = here.point
            add(length, direction, to: &point)
            var gradient = [Double](repeating: 0, count: point.count)
            let value = try function(point, &gradient)
            if !(value <= here.value + 1e-4 * length * slope) {
                high = length
            } else {
                best = Place(length: length, point: point, value: value, gradient: gradient)
                if dot(gradient, direction) >= 0.9 * slope { return (best, evaluation) }
                low = length
            }
            length = high.isFinite ? (low + high) / 2 : 2 * low
        }
        return (best, 30)
    }

    private func dot(_ a: [Double], _ b: [Double]) -> Double {
        var sum = 0.0
        for i in a.indices { sum += a[i] * b[i] }
        return sum
    }

    private func add(_ factor: Double, _ x: [Double], to y: inout [Double]) {
        for i in y.indices { y[i] += factor * x[i] }
    }

    private func largest(_ x: [Double]) -> Double { x.reduce(0) { max($0, abs($1)) } }
}
