package exproto

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
)

// newHealth makes the health service, which says SERVING for the server and for each of its services.
func newHealth(server *grpc.Server) *health.Server {
	checks := health.NewServer()
	for name := range server.GetServiceInfo() {
		checks.SetServingStatus(name, healthv1.HealthCheckResponse_SERVING)
	}
	healthv1.RegisterHealthServer(server, checks)
	return checks
}

// endWatches ends a call of Health.Watch once it has been told NOT_SERVING for good: it would hold up the end.
func (s *Server) endWatches(
	service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler,
) error {
	if info.FullMethod != healthv1.Health_Watch_FullMethodName {
		return handle(service, stream)
	}
	ctx, end := context.WithCancel(stream.Context())
	defer end()
	return handle(service, &watch{stream, s, ctx, end})
}

// watch is one call of Health.Watch.
type watch struct {
	grpc.ServerStream
	server *Server
	ctx    context.Context
	end    context.CancelFunc
}

func (w *watch) Context() context.Context { return w.ctx }

func (w *watch) SendMsg(message any) error {
	err := w.ServerStream.SendMsg(message)
	if response, ok := message.(*healthv1.HealthCheckResponse); ok && w.server.runners.isClosed() &&
		response.GetStatus() == healthv1.HealthCheckResponse_NOT_SERVING {
		w.end()
	}
	return err
}
