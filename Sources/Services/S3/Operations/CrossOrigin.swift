import Contracts
import NIOCore
import Platform
import Storage
import Wire

/// Web pages of other origins: preflight requests, the headers of real ones, and the configuration.
extension S3Service {
    /// Answers OPTIONS. Throws AccessForbidden, BadRequest.
    func preflight(_ head: RequestHead) async throws -> [(name: String, value: String)] {
        guard let origin = head.header("origin"), !origin.isEmpty else {
            throw AWSError(
                "BadRequest", status: 400, "Insufficient information. Origin request header needed.")
        }
        guard let method = head.header("access-control-request-method"), !method.isEmpty else {
            throw AWSError("BadRequest", status: 400, "Invalid Access-Control-Request-Method: null")
        }
        let names = (head.header("access-control-request-headers") ?? "").split(separator: ",")
            .prefix(Limits.crossOriginValues).map { String($0).trimmed }.filter { !$0.isEmpty }
        let path = head.path.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: true)
        let bucket = path.first.flatMap { FormEncoding.decodePercent($0) } ?? ""
        let kind = path.count == 2 && !path[1].isEmpty ? "OBJECT" : "BUCKET"
        guard let rules = try await crossOriginRules(bucket) else {
            throw S3Service.forbidden("CORSResponse: CORS is not enabled for this bucket.", method, kind)
        }
        let query = CrossOriginRules.Query(origin: origin, method: method, headers: names)
        guard let headers = rules.headers(for: query, isPreflight: true) else {
            throw S3Service.forbidden(
                "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request "
                    + "method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the "
                    + "resource's CORS spec.", method, kind)
        }
        return headers
    }

    private static func forbidden(_ text: String, _ method: String, _ kind: String) -> AWSError {
        AWSError(
            "AccessForbidden", status: 403, text, fields: ["Method": .string(method), "ResourceType": .string(kind)])
    }

    private func crossOriginRules(_ name: String) async throws -> CrossOriginRules? {
        try await database.read { transaction in
            guard let bucket = try BucketTable.find(name, in: transaction), bucket.settings.contains(.cors),
                let value = try SettingTable.find(.cors, bucket: name, in: transaction)
            else { return nil }
            return try CrossOriginRules(Model.CORSConfiguration(value))
        }
    }

    /// Runs an operation that a page may have asked for, with the headers that its bucket's rules give to the page. A page
    /// that could drive a server without authentication is refused unless a rule lets it in.
    func answerPage(_ request: OperationRequest, _ body: () async throws -> OperationResponse) async throws
        -> OperationResponse
    {
        let context = request.context
        let origin = context.header("origin") ?? context.foreignPage ?? ""
        var headers: [(name: String, value: String)]?
        if let rules = try await crossOriginRules(request.input["Bucket"]?.string ?? "") {
            let method = schema.operations[context.operation]?.method ?? ""
            headers = rules.headers(for: .init(origin: origin, method: method), isPreflight: false)
        }
        var isLetIn = headers != nil
        // What is copied from must let the page in as well: else it would read any bucket by this one. An access point
        // has no rules of its own.
        if isLetIn, context.foreignPage != nil, let text = request.input["CopySource"]?.string {
            let source = CopySource(text)?.bucket ?? ""
            let rules = try await crossOriginRules(source)
            isLetIn = rules?.headers(for: .init(origin: origin, method: "GET"), isPreflight: false) != nil
        }
        guard isLetIn || context.foreignPage == nil else {
            throw AWSError(
                "AccessDenied", status: 403,
                "This request comes from a web page of another site, and this server runs without authentication, so that "
                    + "any page could use it. If the page is yours, let it in by the bucket's CORS configuration, or start "
                    + "the server with --allow-origin and its origin.")
        }
        do {
            var response = try await body()
            response.headers += headers ?? []
            return response
        } catch var error as AWSError {
            error.headers += headers ?? []
            throw error
        }
    }

    func getBucketCors(_ input: Model.GetBucketCorsRequest, _ request: OperationRequest) async throws
        -> OperationResponse
    {
        try await setting(
            .cors, of: input.bucket, expectedOwner: input.expectedBucketOwner, request,
            orElse: S3Error.noSuch(
                "NoSuchCORSConfiguration", "The CORS configuration does not exist", input.bucket))
    }

    func putBucketCors(_ input: Model.PutBucketCorsRequest, _ request: OperationRequest) async throws
        -> OperationResponse
    {
        guard request.payload.readableBytes <= Limits.crossOriginBytes else { throw S3Error.malformedXML }
        _ = try CrossOriginRules(input.corsConfiguration)
        let value = input.corsConfiguration?.value ?? [:]
        try await change(input.bucket, expectedOwner: input.expectedBucketOwner, request) { bucket, transaction in
            bucket.settings.insert(.cors)
            try SettingTable.put(.cors, value, bucket: bucket.name, in: transaction)
        }
        return OperationResponse()
    }

    func deleteBucketCors(_ input: Model.DeleteBucketCorsRequest, _ request: OperationRequest) async throws
        -> OperationResponse
    {
        try await change(input.bucket, expectedOwner: input.expectedBucketOwner, request) { bucket, transaction in
            bucket.settings.remove(.cors)
            try SettingTable.delete(.cors, bucket: bucket.name, in: transaction)
        }
        return OperationResponse()
    }
}
