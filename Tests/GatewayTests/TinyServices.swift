import Contracts
import Logging
import NIOCore
import NIOPosix
import Platform
import Wire

@testable import Gateway

/// Small models in the form that apigen writes, enough for one operation of each kind.
enum TinySchemas {
    static let s3 = #"""
        martlet-schema 1
        service s3
        signing s3
        prefix s3
        version 2006-03-01
        protocols restXML
        namespace http://s3.amazonaws.com/doc/2006-03-01/
        validation MalformedXML
        bareerrors yes
        constraints required
        op CreateBucket PUT 200 /{Bucket} in=CreateBucketRequest
        op GetObject GET 200 /{Bucket}/{Key+} in=GetObjectRequest out=GetObjectOutput blobout
        op HeadObject HEAD 200 /{Bucket}/{Key+} in=GetObjectRequest out=HeadObjectOutput
        op PutObject PUT 200 /{Bucket}/{Key+} in=PutObjectRequest out=PutObjectOutput streamin
        shapes
        CreateBucketRequest structure
         Bucket string required uri=Bucket
        GetObjectOutput structure payload=Body
         Body blob stream
         ContentLength long header=Content-Length
         ETag string header=ETag
        GetObjectRequest structure
         Bucket string required uri=Bucket
         Key string required uri=Key
        HeadObjectOutput structure
         ContentLength long header=Content-Length
        PutObjectOutput structure
         ETag string header=ETag
        PutObjectRequest structure payload=Body
         Body blob stream
         Bucket string required uri=Bucket
         Key string required uri=Key
        """#

    static let lambda = #"""
        martlet-schema 1
        service lambda
        signing lambda
        prefix lambda
        version 2015-03-31
        protocols restJSON
        validation ValidationException
        roots functions
        op DeleteFunction DELETE 204 /2015-03-31/functions/{FunctionName} in=DeleteFunctionRequest
        op GetFunction GET 200 /2015-03-31/functions/{FunctionName} in=DeleteFunctionRequest out=GetFunctionResponse
        op Invoke POST 200 /2015-03-31/functions/{FunctionName}/invocations in=InvocationRequest out=InvocationResponse blobin blobout
        shapes
        DeleteFunctionRequest structure
         FunctionName string required uri=FunctionName
        GetFunctionResponse structure
         Runtime string
        InvocationRequest structure payload=Payload
         FunctionName string required uri=FunctionName
         Payload blob
        InvocationResponse structure payload=Payload
         StatusCode integer status=StatusCode
         ExecutedVersion string header=X-Amz-Executed-Version
         Payload blob
        """#

    static let logs = #"""
        martlet-schema 1
        service logs
        signing logs
        prefix logs
        version 2014-03-28
        protocols json11
        target Logs_20140328
        validation InvalidParameterException
        op CreateLogGroup POST 200 / in=CreateLogGroupRequest
        shapes
        CreateLogGroupRequest structure
         logGroupName LogGroupName required
        LogGroupName string min=1 max=512
        """#

    static let sts = #"""
        martlet-schema 1
        service sts
        signing sts
        prefix sts
        version 2011-06-15
        protocols query
        namespace https://sts.amazonaws.com/doc/2011-06-15/
        validation ValidationError
        op GetCallerIdentity POST 200 / in=GetCallerIdentityRequest out=GetCallerIdentityResponse wrapper=GetCallerIdentityResult
        shapes
        GetCallerIdentityRequest structure
        GetCallerIdentityResponse structure
         Account string
         Arn string
        """#
}

/// Handlers that say back what they got.
enum TinyServices {
    struct Secretive: Error {}

    static func all() throws -> [ServiceDefinition] {
        [
            ServiceDefinition(
                schema: try ServiceSchema(text: TinySchemas.lambda),
                operations: [
                    "Invoke": .callback { request, completion in
                        let id: [(name: String, value: String)] =
                            request.context.header("x-own-id") == nil ? [] : [("X-Amzn-RequestId", "mine")]
                        completion(
                            .success(
                                OperationResponse(
                                    ["StatusCode": 200, "ExecutedVersion": "$LATEST"], payload: .bytes(request.payload),
                                    headers: id)))
                    },
                    "GetFunction": .asynchronous { request in
                        let name = request.input["FunctionName"]?.string ?? ""
                        switch name {
                        case "missing":
                            throw AWSError(
                                "ResourceNotFoundException", status: 404, "Function not found: \(name)",
                                fields: ["Type": "User"])
                        case "broken": throw Secretive()
                        default:
                            let context = request.context
                            let text =
                                "\(context.scope.account) \(context.scope.region) \(context.endpoint) "
                                + "\(context.principal.arn)"
                            return OperationResponse(["Runtime": .string(text)])
                        }
                    },
                ], bodyLimits: ["Invoke": 100]),
            ServiceDefinition(
                schema: try ServiceSchema(text: TinySchemas.logs),
                operations: [
                    "CreateLogGroup": .callback { request, completion in
                        completion(.success(OperationResponse([:])))
                    }
                ]),
            ServiceDefinition(
                schema: try ServiceSchema(text: TinySchemas.sts),
                operations: [
                    "GetCallerIdentity": .callback { request, completion in
                        completion(
                            .success(
                                OperationResponse([
                                    "Account": .string(request.context.scope.account),
                                    "Arn": .string(request.context.principal.arn),
                                ])))
                    }
                ]),
            try s3(),
        ]
    }

    private static func s3() throws -> ServiceDefinition {
        ServiceDefinition(
            schema: try ServiceSchema(text: TinySchemas.s3),
            operations: [
                "PutObject": .asynchronous { request in
                    var count = 0
                    while let piece = try await request.stream?.next() { count += piece.readableBytes }
                    let bucket = request.input["Bucket"]?.string ?? ""
                    let key = request.input["Key"]?.string ?? ""
                    return OperationResponse(["ETag": .string("\(bucket)|\(key)|\(count)")])
                },
                "GetObject": .asynchronous { request in
                    guard request.input["Key"]?.string != "missing" else {
                        throw AWSError("NoSuchKey", status: 404, "The specified key does not exist.")
                    }
                    return OperationResponse(
                        ["ContentLength": 5],
                        payload: .stream(length: 5) { try await $0.write(ByteBuffer(string: "hello")) })
                },
                "HeadObject": .asynchronous { request in
                    guard request.input["Key"]?.string != "missing" else {
                        throw AWSError("NotFound", status: 404, "Not Found")
                    }
                    return OperationResponse(["ContentLength": 5])
                },
            ])
    }

    /// A gateway with these services on a free port.
    static func with<T: Sendable>(
        authentication: AuthenticationMode = .none, time: any TimeSource = SystemTime(),
        credentials: any CredentialIssuer = NoCredentials(), doors: [any HTTPDoor] = [],
        limits: GatewayLimits = GatewayLimits(), mark: OutboundMark? = nil,
        _ body: @escaping @Sendable (RawClient) throws -> T
    ) async throws -> T {
        let gateway = Gateway(
            configuration: try GatewayConfiguration(port: 0, authentication: authentication, limits: limits),
            services: try all(), credentials: credentials, time: time, logger: Logger(label: "test"),
            group: NIOSingletons.posixEventLoopGroup, doors: doors, mark: mark)
        let port = try await gateway.start().first?.port ?? 0
        do {
            let result = try await blocking { try body(RawClient(port: port)) }
            await gateway.drain(deadline: .seconds(1))
            return result
        } catch {
            await gateway.drain(deadline: .seconds(1))
            throw error
        }
    }
}

extension RawClient {
    func ask(
        _ method: String, _ path: String, host: String = "localhost:4566", headers: [String] = [], body: String = ""
    ) throws -> Answer {
        var text = "\(method) \(path) HTTP/1.1\r\nHost: \(host)\r\n"
        for header in headers { text += header + "\r\n" }
        if !body.isEmpty || method == "POST" || method == "PUT" { text += "Content-Length: \(body.utf8.count)\r\n" }
        try send(text + "\r\n" + body)
        return try answer(toHead: method == "HEAD")
    }
}
