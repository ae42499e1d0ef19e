package exproto

import (
	"errors"
	"fmt"

	"exproto.dev/handler-kit/go/exprotov1"
)

// Error is what the gateway has answered to a command that it has not carried out.
type Error struct {
	// Code says which kind of failure it is.
	Code exprotov1.ResultCode
	// Message says what is wrong, for a person to read.
	Message string
}

// Error gives the code's name and the message.
func (e *Error) Error() string {
	if e.Message == "" {
		return e.Code.String()
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

// Is makes errors.Is(err, &Error{Code: …}) compare codes alone.
func (e *Error) Is(target error) bool {
	other, ok := target.(*Error)
	return ok && other.Code == e.Code && (other.Message == "" || other.Message == e.Message)
}

// Why a command was not issued, or its result cannot be had.
var (
	// ErrClosed: the connection has ended, or ended before the command was carried out.
	ErrClosed = errors.New("the connection has ended")
	// ErrDetached: the gateway has attached the connection to another handler, or to none for too long. Return it: the
	// event is another's now.
	ErrDetached = errors.New("the connection is attached to this handler no longer")
	// ErrShutdown: this handler is going, and the result will not come. Return it: the event's step is run again by the
	// handler that gets the connection next.
	ErrShutdown = errors.New("the handler is shutting down")
	// ErrTooLarge: the command is larger than the gateway takes.
	ErrTooLarge = errors.New("too large")
)

// answer makes an error of a code other than SUCCESS.
func answer(code exprotov1.ResultCode, message string) error {
	if code == exprotov1.ResultCode_SUCCESS {
		return nil
	}
	return &Error{code, message}
}
