package exproto

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"exproto.dev/handler-kit/go/exprotov1"
	"exproto.dev/handler-kit/go/streamv1"
)

// adapterLink carries the commands of a connection by v1: one call of the ConnectionAdapter each. Every command waits
// for its answer, so those of one goroutine are carried out in their order.
type adapterLink struct {
	conn    *Conn
	adapter exprotov1.ConnectionAdapterClient
	timeout time.Duration
}

func (l *adapterLink) issue(ctx context.Context, command *streamv1.Command) (*streamv1.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	id := l.conn.ID()
	var header metadata.MD
	var response *exprotov1.CodeResponse
	var err error
	switch kind := command.GetKind().(type) {
	case *streamv1.Command_Send:
		response, err = l.adapter.Send(ctx, &exprotov1.SendBytesRequest{Conn: id, Bytes: kind.Send})
	case *streamv1.Command_Close:
		response, err = l.adapter.Close(ctx, &exprotov1.CloseSocketRequest{Conn: id})
	case *streamv1.Command_Authenticate:
		response, err = l.authenticate(ctx, id, kind.Authenticate, &header)
	case *streamv1.Command_StartTimer:
		response, err = l.adapter.StartTimer(ctx, &exprotov1.TimerRequest{
			Conn: id, Type: exprotov1.TimerType_KEEPALIVE, Interval: kind.StartTimer.GetInterval(),
		})
	case *streamv1.Command_Publish:
		response, err = l.adapter.Publish(retaining(ctx, kind.Publish), &exprotov1.PublishRequest{
			Conn: id, Topic: kind.Publish.GetTopic(), Qos: kind.Publish.GetQos(), Payload: kind.Publish.GetPayload(),
		})
	case *streamv1.Command_RawPublish:
		response, err = l.adapter.RawPublish(retaining(ctx, kind.RawPublish), &exprotov1.RawPublishRequest{
			Topic: kind.RawPublish.GetTopic(), Qos: kind.RawPublish.GetQos(), Payload: kind.RawPublish.GetPayload(),
		})
	case *streamv1.Command_Subscribe:
		response, err = l.adapter.Subscribe(ctx, &exprotov1.SubscribeRequest{
			Conn: id, Topic: kind.Subscribe.GetTopic(), Qos: kind.Subscribe.GetQos(),
		})
	case *streamv1.Command_Unsubscribe:
		response, err = l.adapter.Unsubscribe(ctx, &exprotov1.UnsubscribeRequest{Conn: id, Topic: kind.Unsubscribe})
	case *streamv1.Command_State:
		return nil, nil // v1 keeps none: it stays in the Conn
	}
	if err != nil {
		return nil, fmt.Errorf("the adapter was not reached: %w", err)
	}
	result := &streamv1.Result{Code: response.GetCode(), Message: response.GetMessage()}
	if present := header.Get("exproto-session-present"); len(present) > 0 {
		result.SessionPresent = present[0] == "true"
	}
	return result, nil
}

func (l *adapterLink) authenticate(
	ctx context.Context, id string, ask *streamv1.Authenticate, header *metadata.MD,
) (*exprotov1.CodeResponse, error) {
	if ask.SessionExpiry != nil {
		expiry := strconv.FormatUint(uint64(ask.GetSessionExpiry()), 10)
		ctx = metadata.AppendToOutgoingContext(ctx, "exproto-session-expiry", expiry)
	}
	return l.adapter.Authenticate(ctx, &exprotov1.AuthenticateRequest{
		Conn: id, Clientinfo: ask.GetClientinfo(), Password: ask.GetPassword(),
	}, grpc.Header(header))
}

func retaining(ctx context.Context, publish *streamv1.Publish) context.Context {
	if !publish.GetRetain() {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "exproto-retain", "true")
}
