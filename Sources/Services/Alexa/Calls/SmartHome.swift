import Platform

/// Smart Home skills (Smart Home Skill API v3): what they are asked and must answer.
enum SmartHome {
    /// Checks a directive before it is sent; what is wrong with it.
    static func problem(directive body: Value) -> String? {
        guard let header = body["directive"]?["header"], header.fields != nil else {
            return "A Smart Home skill takes {\"directive\": {\"header\": …, \"payload\": …}}."
        }
        for name in ["namespace", "name", "messageId"] where header[name]?.string?.isEmpty ?? true {
            return "The directive's header has no \(name)."
        }
        guard header["payloadVersion"]?.string == "3" else { return "The directive's payloadVersion must be \"3\"." }
        guard body["directive"]?["payload"]?.fields != nil else { return "The directive has no payload." }
        return nil
    }

    /// Reads the answer to a directive. Throws `.invalidResponse`.
    static func read(_ bytes: [UInt8], for body: Value) throws(SkillFailure) -> Value {
        guard bytes.count <= Limits.smartHomeResponseBytes else {
            throw .invalidResponse("The response exceeds \(Limits.smartHomeResponseBytes) bytes.")
        }
        let value: Value
        do {
            value = try JSON.parse(bytes)
        } catch {
            throw .invalidResponse("The response is not JSON: \(error.message)")
        }
        guard let event = value["event"], let header = event["header"], header.fields != nil else {
            throw .invalidResponse("The response has no event with a header.")
        }
        for name in ["namespace", "name", "messageId"] where header[name]?.string?.isEmpty ?? true {
            throw .invalidResponse("The event's header has no \(name).")
        }
        guard header["payloadVersion"]?.string == "3" else {
            throw .invalidResponse("The event's payloadVersion must be \"3\".")
        }
        guard event["payload"]?.fields != nil else { throw .invalidResponse("The event has no payload.") }
        let asked = body["directive"]?["header"]
        if let token = asked?["correlationToken"]?.string, header["correlationToken"]?.string != token {
            throw .invalidResponse("The event's correlationToken is not the directive's.")
        }
        try checkName(header["namespace"]?.string ?? "", header["name"]?.string ?? "", asked)
        if asked?["name"]?.string == "Discover", header["name"]?.string == "Discover.Response" {
            try checkDiscovery(event["payload"]?["endpoints"])
        }
        return value
    }

    private static func checkName(_ namespace: String, _ name: String, _ asked: Value?) throws(SkillFailure) {
        if name == "ErrorResponse" { return }
        let expected: [String]
        switch (asked?["namespace"]?.string, asked?["name"]?.string) {
        case ("Alexa.Discovery", _): expected = ["Alexa.Discovery/Discover.Response"]
        case ("Alexa.Authorization", _): expected = ["Alexa.Authorization/AcceptGrant.Response"]
        case ("Alexa", "ReportState"): expected = ["Alexa/StateReport", "Alexa/DeferredResponse"]
        case ("Alexa.SceneController", "Activate"): expected = ["Alexa.SceneController/ActivationStarted"]
        case ("Alexa.SceneController", "Deactivate"): expected = ["Alexa.SceneController/DeactivationStarted"]
        case (let asked?, _): expected = ["Alexa/Response", "Alexa/DeferredResponse", "\(asked)/Response"]
        default: return
        }
        guard expected.contains("\(namespace)/\(name)") else {
            throw .invalidResponse(
                "The event is \(namespace.prefix(80)) \(name.prefix(80)), which does not answer the directive; expected was "
                    + expected.joined(separator: " or ") + ".")
        }
    }

    private static func checkDiscovery(_ endpoints: Value?) throws(SkillFailure) {
        guard let list = endpoints?.list else { throw .invalidResponse("The discovery has no endpoints.") }
        guard list.count <= 300 else { throw .invalidResponse("A discovery has at most 300 endpoints.") }
        for endpoint in list {
            for name in ["endpointId", "friendlyName", "manufacturerName", "description"]
            where endpoint[name]?.string?.isEmpty ?? true {
                throw .invalidResponse("An endpoint of the discovery has no \(name).")
            }
            guard endpoint["displayCategories"]?.list?.isEmpty == false, endpoint["capabilities"]?.list != nil else {
                throw .invalidResponse("An endpoint of the discovery has no displayCategories or capabilities.")
            }
        }
    }
}
