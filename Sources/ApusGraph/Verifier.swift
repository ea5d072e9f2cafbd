import ApusTensor

extension Graph {
    /// Checks what every pass must preserve: each value is written once, before it is read, with the
    /// shape inference gives it. Throws a `GraphError` that names the first node at fault.
    public func verify() throws(GraphError) {
        var written = Set<ValueID>()
        for node in nodes {
            let operands = node.inputs.map { shape($0) }
            func fail(_ problem: String) -> GraphError {
                GraphError(path: node.path, problem: "\(node.op): \(problem)", shapes: operands)
            }
            for input in node.inputs where !written.contains(input) {
                throw fail("reads \(input) before it is written")
            }
            for output in node.outputs where !written.insert(output).inserted {
                throw fail("writes \(output) a second time")
            }
            if node.op.isSource && node.inputs.isEmpty { continue }
            let expected: [Shape]
            do {
                expected = try node.op.outputShapes(operands)
            } catch {
                throw fail(error.problem)
            }
            guard expected == node.outputs.map({ shape($0) }) else {
                throw fail("declares the wrong output shapes")
            }
        }
        for root in roots.sorted() where !written.contains(root) {
            throw GraphError(path: "", problem: "\(root) is an output no node writes", shapes: [])
        }
    }
}
