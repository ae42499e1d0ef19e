// Generate makes the Go code of the two contracts, without protoc: it compiles the .proto files itself, and hands the
// result to the plugins protoc-gen-go and protoc-gen-go-grpc as protoc does. ../../generate.sh calls it.
package main

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

// The files, each after what it imports, and the package that its code goes to.
var contracts = []struct{ file, folder string }{
	{"exproto.proto", "exprotov1"},
	{"exproto/stream/v1/stream.proto", "streamv1"},
}

const module = "exproto.dev/handler-kit/go"

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: generate PROTO_FOLDER OUT_FOLDER")
	}
	if err := generate(os.Args[1], os.Args[2]); err != nil {
		log.Fatal("generate: ", err)
	}
}

func generate(protos, out string) error {
	request := &pluginpb.CodeGeneratorRequest{}
	parameters := "module=" + module
	for _, contract := range contracts {
		request.FileToGenerate = append(request.FileToGenerate, contract.file)
		parameters += fmt.Sprintf(",M%s=%s/%s", contract.file, module, contract.folder)
	}
	request.Parameter = proto.String(parameters)

	compiler := protocompile.Compiler{
		Resolver:       &protocompile.SourceResolver{ImportPaths: []string{protos}},
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	compiled, err := compiler.Compile(context.Background(), request.FileToGenerate...)
	if err != nil {
		return err
	}
	for _, file := range compiled {
		request.ProtoFile = append(request.ProtoFile, descriptor(protodesc.ToFileDescriptorProto(file)))
	}
	for _, plugin := range []string{"protoc-gen-go", "protoc-gen-go-grpc"} {
		if err := run(plugin, request, out); err != nil {
			return fmt.Errorf("%s: %w", plugin, err)
		}
	}
	return nil
}

// descriptor goes through bytes once, which makes plain messages of what the compiler holds.
func descriptor(file *descriptorpb.FileDescriptorProto) *descriptorpb.FileDescriptorProto {
	plain := &descriptorpb.FileDescriptorProto{}
	encoded, err := proto.Marshal(file)
	if err == nil {
		err = proto.Unmarshal(encoded, plain)
	}
	if err != nil {
		log.Fatal("generate: ", err)
	}
	return plain
}

// run hands the request to a plugin, and writes the files of its answer.
func run(plugin string, request *pluginpb.CodeGeneratorRequest, out string) error {
	input, err := proto.Marshal(request)
	if err != nil {
		return err
	}
	command := exec.Command("go", "tool", plugin)
	command.Stdin = bytes.NewReader(input)
	command.Stderr = os.Stderr
	output, err := command.Output()
	if err != nil {
		return err
	}
	response := &pluginpb.CodeGeneratorResponse{}
	if err := proto.Unmarshal(output, response); err != nil {
		return err
	}
	if response.Error != nil {
		return fmt.Errorf("%s", response.GetError())
	}
	for _, file := range response.File {
		path := filepath.Join(out, file.GetName())
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(file.GetContent()), 0o644); err != nil {
			return err
		}
	}
	return nil
}
