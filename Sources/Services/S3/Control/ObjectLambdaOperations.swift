import Contracts
import Platform
import Storage
import Wire

/// Object Lambda access points.
extension S3ControlService {
    func createObjectLambda(_ request: OperationRequest) async throws -> OperationResponse {
        let input = ControlModel.CreateAccessPointForObjectLambdaRequest(request.input)
        let key = key(request, .objectLambda)
        try Self.checkName(key.name)
        let configuration = try Self.checked(input.configuration, key)
        let point = AccessPoint(
            key: key, bucket: "", alias: AccessPoint.makeAlias(key, created: request.context.now),
            created: request.context.now, document: ["Configuration": configuration])
        try await database.write { transaction in
            try self.permit(request, key.arn, in: transaction)
            guard try AccessPointTable.get(key, in: transaction) == nil else {
                throw ControlError.alreadyOwned(key.name)
            }
            let count = try AccessPointTable.count(key.scope, .objectLambda, in: transaction)
            guard count < ControlLimits.objectLambdaAccessPoints else { throw ControlError.tooMany }
            try Self.checkSupport(configuration, in: transaction)
            try AccessPointTable.put(point, in: transaction)
        }
        var output = ControlModel.CreateAccessPointForObjectLambdaResult()
        output.objectLambdaAccessPointArn = key.arn
        output.alias = point.shownAlias
        return OperationResponse(output.value)
    }

    /// A configuration that can be carried out, as it was given. Throws InvalidRequest.
    private static func checked(_ given: ControlModel.ObjectLambdaConfiguration?, _ key: AccessPoint.Key)
        throws(AWSError) -> Value
    {
        guard let given else { throw ControlError.invalid("The configuration is missing.") }
        guard let support = given.supportingAccessPoint.flatMap({ AccessPoint.Key(arn: $0) }), support.kind == .bucket,
            support.scope.region == key.scope.region
        else {
            throw ControlError.invalid(
                "SupportingAccessPoint must be the ARN of an access point in the same Region.")
        }
        var seen: Set<String> = []
        let transformations = given.transformationConfigurations ?? []
        guard !transformations.isEmpty else {
            throw ControlError.invalid("At least one TransformationConfiguration is needed.")
        }
        for item in transformations {
            guard let actions = item.actions, !actions.isEmpty else {
                throw ControlError.invalid("A TransformationConfiguration names at least one action.")
            }
            for action in actions where !seen.insert(action).inserted {
                throw ControlError.invalid("The action \(action) has more than one TransformationConfiguration.")
            }
            guard let function = item.contentTransformation?.awsLambda?.functionArn, let arn = ARN(function),
                arn.service == "lambda", arn.resource.hasPrefix("function:")
            else { throw ControlError.invalid("FunctionArn must be the ARN of a Lambda function.") }
            let payload = item.contentTransformation?.awsLambda?.functionPayload ?? ""
            guard payload.utf8.count <= ControlLimits.functionPayloadBytes else {
                throw ControlError.invalid("FunctionPayload is too long.")
            }
        }
        return given.value
    }

    private static func checkSupport(_ configuration: Value, in transaction: any ReadTransaction) throws {
        guard let support = ObjectLambdaSettings(configuration).supportingAccessPoint,
            try AccessPointTable.get(support, in: transaction) != nil
        else { throw ControlError.invalid("The supporting access point does not exist.") }
    }

    func getObjectLambda(_ request: OperationRequest) async throws -> OperationResponse {
        let point = try await database.read { try self.require(request, .objectLambda, in: $0) }
        var output = ControlModel.GetAccessPointForObjectLambdaResult()
        output.name = point.key.name
        var block = ControlModel.PublicAccessBlockConfiguration()
        block.blockPublicAcls = true
        block.ignorePublicAcls = true
        block.blockPublicPolicy = true
        block.restrictPublicBuckets = true
        output.publicAccessBlockConfiguration = block
        output.creationDate = point.created
        output.alias = point.shownAlias
        return OperationResponse(output.value)
    }

    func listObjectLambda(_ request: OperationRequest) async throws -> OperationResponse {
        let input = ControlModel.ListAccessPointsForObjectLambdaRequest(request.input)
        let (points, next) = try await page(
            request, .objectLambda, bucket: nil, token: input.nextToken, limit: input.maxResults)
        var output = ControlModel.ListAccessPointsForObjectLambdaResult()
        output.objectLambdaAccessPointList = points.map { point in
            var item = ControlModel.ObjectLambdaAccessPoint()
            item.name = point.key.name
            item.objectLambdaAccessPointArn = point.key.arn
            item.alias = point.shownAlias
            return item
        }
        output.nextToken = next
        return OperationResponse(output.value)
    }

    func getConfiguration(_ request: OperationRequest) async throws -> OperationResponse {
        let point = try await database.read { try self.require(request, .objectLambda, in: $0) }
        var output = ControlModel.GetAccessPointConfigurationForObjectLambdaResult()
        output.configuration = point.configuration.map { ControlModel.ObjectLambdaConfiguration($0.value) }
        return OperationResponse(output.value)
    }

    func putConfiguration(_ request: OperationRequest) async throws -> OperationResponse {
        let input = ControlModel.PutAccessPointConfigurationForObjectLambdaRequest(request.input)
        let configuration = try Self.checked(input.configuration, key(request, .objectLambda))
        try await database.write { transaction in
            var point = try self.require(request, .objectLambda, in: transaction)
            try Self.checkSupport(configuration, in: transaction)
            point.document["Configuration"] = configuration
            try AccessPointTable.put(point, in: transaction)
        }
        return OperationResponse()
    }
}

extension AccessPoint {
    fileprivate var shownAlias: ControlModel.ObjectLambdaAccessPointAlias {
        ControlModel.ObjectLambdaAccessPointAlias(["Value": .string(alias), "Status": "READY"])
    }
}
