import Platform

/// How integrations and authorizers name functions: by ARN, or by the URI of Lambda's Invoke.
enum FunctionURI {
    /// The function's ARN in `arn:aws:lambda:…` or `arn:aws:apigateway:REGION:lambda:path/2015-03-31/functions/ARN/invocations`;
    /// nil when the text is neither.
    static func function(in uri: String) -> String? {
        guard let arn = ARN(uri) else { return nil }
        if arn.service == "lambda", arn.resource.hasPrefix("function:") { return uri }
        guard arn.service == "apigateway", arn.account == "lambda" else { return nil }
        guard let functions = arn.resource.firstRange(of: "/functions/") else { return nil }
        let rest = arn.resource[functions.upperBound...]
        guard let end = rest.firstRange(of: "/invocations") ?? rest.firstRange(of: "/response-streaming-invocations")
        else { return nil }
        let function = String(rest[..<end.lowerBound])
        return function.hasPrefix("arn:") ? function : nil
    }

    /// `${stageVariables.name}` replaced; what is not set becomes empty, as AWS has it.
    static func substitute(_ text: String, stageVariables: [(name: String, value: String)]) -> String {
        guard text.contains("${stageVariables.") || text.contains("$stageVariables.") else { return text }
        var out = ""
        var rest = text[...]
        while let start = rest.firstRange(of: "${stageVariables.") {
            out += rest[..<start.lowerBound]
            let behind = rest[start.upperBound...]
            guard let end = behind.firstIndex(of: "}") else { return out + rest[start.lowerBound...] }
            let name = behind[..<end]
            out += stageVariables.first { $0.name == name }?.value ?? ""
            rest = behind[behind.index(after: end)...]
        }
        return out + rest
    }
}
