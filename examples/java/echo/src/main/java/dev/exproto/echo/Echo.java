package dev.exproto.echo;

import emqx.exproto.v1.ConnectionAdapterGrpc;
import emqx.exproto.v1.ConnectionAdapterGrpc.ConnectionAdapterBlockingStub;
import emqx.exproto.v1.ConnectionUnaryHandlerGrpc.ConnectionUnaryHandlerImplBase;
import emqx.exproto.v1.Exproto.CodeResponse;
import emqx.exproto.v1.Exproto.EmptySuccess;
import emqx.exproto.v1.Exproto.ReceivedBytesRequest;
import emqx.exproto.v1.Exproto.ResultCode;
import emqx.exproto.v1.Exproto.SendBytesRequest;
import emqx.exproto.v1.Exproto.SocketClosedRequest;
import emqx.exproto.v1.Exproto.SocketCreatedRequest;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.InsecureServerCredentials;
import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.MetadataUtils;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import java.util.logging.Logger;

/**
 * A protocol handler that sends every byte back to the device it came from.
 *
 * <p>The gateway calls us (ConnectionUnaryHandler), one callback of a connection at a time, in order; and we call the
 * gateway (ConnectionAdapter). An exception closes the connection that the callback is about.
 */
public final class Echo extends ConnectionUnaryHandlerImplBase {
  /** Seconds that a call to the adapter may take. */
  private static final int CALL_TIMEOUT = 5;

  /** Seconds that callbacks in flight get at the end. */
  private static final int GRACE = 5;

  private static final Logger LOG = Logger.getLogger("echo");

  private final ConnectionAdapterBlockingStub adapter;

  private Echo(ConnectionAdapterBlockingStub adapter) {
    this.adapter = adapter;
  }

  @Override
  public void onSocketCreated(SocketCreatedRequest request, StreamObserver<EmptySuccess> answer) {
    var peer = request.getConninfo().getPeername();
    LOG.info("%s connected: %s port %d".formatted(request.getConn(), peer.getHost(), peer.getPort()));
    succeed(answer);
  }

  @Override
  public void onReceivedBytes(ReceivedBytesRequest request, StreamObserver<EmptySuccess> answer) {
    var send = SendBytesRequest.newBuilder().setConn(request.getConn()).setBytes(request.getBytes()).build();
    CodeResponse sent = adapter.withDeadlineAfter(CALL_TIMEOUT, TimeUnit.SECONDS).send(send);
    if (sent.getCode() != ResultCode.SUCCESS) {
      LOG.warning("%s not sent: %s %s".formatted(request.getConn(), sent.getCode(), sent.getMessage()));
    }
    succeed(answer);
  }

  @Override
  public void onSocketClosed(SocketClosedRequest request, StreamObserver<EmptySuccess> answer) {
    LOG.info("%s closed: %s".formatted(request.getConn(), request.getReason()));
    succeed(answer);
  }

  private static void succeed(StreamObserver<EmptySuccess> answer) {
    answer.onNext(EmptySuccess.getDefaultInstance());
    answer.onCompleted();
  }

  /** What we call the gateway with: our token on each call, if we have one. */
  private static ConnectionAdapterBlockingStub adapter(String address, String tokenFile) throws IOException {
    var channel = Grpc.newChannelBuilder(address, InsecureChannelCredentials.create()).build();
    var stub = ConnectionAdapterGrpc.newBlockingStub(channel);
    if (tokenFile == null) {
      return stub;
    }
    var headers = new Metadata();
    var key = Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);
    headers.put(key, "Bearer " + Files.readString(Path.of(tokenFile)).strip());
    return stub.withInterceptors(MetadataUtils.newAttachHeadersInterceptor(headers));
  }

  /** Arguments: the port where the gateway calls us, where we call the gateway, a file with our token. */
  public static void main(String[] arguments) throws IOException, InterruptedException {
    int port = arguments.length > 0 ? Integer.parseInt(arguments[0]) : 9001;
    String gateway = arguments.length > 1 ? arguments[1] : "127.0.0.1:9100";
    String tokenFile = arguments.length > 2 ? arguments[2] : null;

    var listen = new InetSocketAddress("127.0.0.1", port);
    Server server =
        NettyServerBuilder.forAddress(listen, InsecureServerCredentials.create())
            .addService(new Echo(adapter(gateway, tokenFile)))
            .build()
            .start();
    Runtime.getRuntime().addShutdownHook(new Thread(() -> end(server)));
    LOG.info("serving on port %d, adapter at %s".formatted(port, gateway));
    server.awaitTermination();
  }

  /** SIGTERM or Ctrl-C: no more callbacks, and those in flight are answered. */
  private static void end(Server server) {
    try {
      server.shutdown().awaitTermination(GRACE, TimeUnit.SECONDS);
    } catch (InterruptedException interrupted) {
      server.shutdownNow();
    }
  }
}
