// Command frontend-oracle says what BuildKit's own Dockerfile front end makes of Dockerfiles.
//
// It reads one case a line as JSON from standard input and writes one answer a line. It is built
// within a checkout of BuildKit by tools/compare-frontend, and needs no daemon: nothing is run,
// and images are those of the case.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/solver/pb"
	apicaps "github.com/moby/buildkit/util/apicaps/pb"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/pkg/errors"
)

type testCase struct {
	Dockerfile string                     `json:"dockerfile"`
	Target     string                     `json:"target"`
	BuildArgs  map[string]string          `json:"build_args"`
	Labels     map[string]string          `json:"labels"`
	Platform   string                     `json:"platform"`
	Images     map[string]json.RawMessage `json:"images"`
}

type answer struct {
	Error  string           `json:"error,omitempty"`
	Lines  []int            `json:"lines,omitempty"`
	Steps  []map[string]any `json:"steps,omitempty"`
	Config any              `json:"config,omitempty"`
}

type images map[string]json.RawMessage

func (i images) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	config, ok := i[ref]
	if !ok {
		return "", "", nil, errors.Errorf("%s: not found", ref)
	}
	return ref, "", config, nil
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 64<<20)
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for in.Scan() {
		var c testCase
		if err := json.Unmarshal(in.Bytes(), &c); err != nil {
			panic(err)
		}
		if err := out.Encode(ask(c)); err != nil {
			panic(err)
		}
	}
}

func ask(c testCase) (result answer) {
	defer func() {
		if r := recover(); r != nil {
			result = answer{Error: fmt.Sprintf("panic: %v", r)}
		}
	}()
	build := ocispecs.Platform{OS: "linux", Architecture: "amd64"}
	// Without merges, COPY --link is a COPY.
	known := slices.DeleteFunc(pb.Caps.All(), func(each *apicaps.APICap) bool {
		return each.ID == string(pb.CapMergeOp)
	})
	caps := pb.Caps.CapSet(known)
	if c.BuildArgs == nil {
		c.BuildArgs = map[string]string{}
	}
	opt := dockerfile2llb.ConvertOpt{
		Config: dockerui.Config{
			BuildArgs:      c.BuildArgs,
			Labels:         c.Labels,
			Target:         c.Target,
			BuildPlatforms: []ocispecs.Platform{build},
		},
		MetaResolver: images(c.Images),
		LLBCaps:      &caps,
		SourceMap:    llb.NewSourceMap(nil, "Dockerfile", "Dockerfile", []byte(c.Dockerfile)),
	}
	if c.Platform != "" {
		platform := platforms.MustParse(c.Platform)
		opt.TargetPlatform = &platform
	}
	ctx := context.Background()
	made, err := dockerfile2llb.Dockerfile2LLB(ctx, []byte(c.Dockerfile), opt)
	if err != nil {
		return refusal(err)
	}
	definition, err := made.State.Marshal(ctx, llb.Platform(build))
	if err != nil {
		return refusal(err)
	}
	return answer{Steps: steps(definition), Config: made.Image}
}

func refusal(err error) answer {
	result := answer{Error: err.Error()}
	var located *parser.LocationError
	if errors.As(err, &located) {
		for _, ranges := range located.Locations {
			for _, each := range ranges {
				result.Lines = append(result.Lines, each.Start.Line)
			}
		}
	}
	return result
}

func steps(definition *llb.Definition) []map[string]any {
	name := func(d string) string {
		return definition.Metadata[digest.Digest(d)].Description["llb.customname"]
	}
	var found []map[string]any
	for _, raw := range definition.Def {
		var op pb.Op
		if err := op.Unmarshal(raw); err != nil {
			panic(err)
		}
		if op.Op == nil {
			continue
		}
		own := string(digest.FromBytes(raw))
		step := map[string]any{"name": name(own)}
		// Equal steps of several stages are one, with the places of all.
		lines := []int32{}
		if places := definition.Source.Locations[own]; places != nil {
			for _, place := range places.Locations {
				if len(place.Ranges) > 0 {
					lines = append(lines, place.Ranges[0].Start.Line)
				}
			}
		}
		step["lines"] = lines
		switch {
		case op.GetSource() != nil:
			step["source"] = op.GetSource().Identifier
		case op.GetExec() != nil:
			describeExec(step, &op, name)
		case op.GetFile() != nil:
			describeFile(step, op.GetFile())
		}
		found = append(found, step)
	}
	return found
}

func describeExec(step map[string]any, op *pb.Op, name func(string) string) {
	exec := op.GetExec()
	step["args"] = exec.Meta.Args
	step["env"] = exec.Meta.Env
	step["cwd"] = path.Clean(exec.Meta.Cwd)
	step["user"] = exec.Meta.User
	step["network"] = strings.ToLower(strings.Replace(exec.Network.String(), "UNSET", "default", 1))
	mounts := []map[string]any{}
	for _, each := range exec.Mounts {
		if each.Dest == "/" {
			continue
		}
		mount := map[string]any{
			"target":    path.Clean(each.Dest),
			"source":    path.Join("/", each.Selector),
			"read_only": each.Readonly,
		}
		if each.Input >= 0 {
			mount["from"] = name(op.Inputs[each.Input].Digest)
		}
		if each.CacheOpt != nil {
			// The id has the namespace of the build before it, which is empty here.
			mount["cache"] = strings.TrimPrefix(each.CacheOpt.ID, "/")
			mount["sharing"] = strings.ToLower(each.CacheOpt.Sharing.String())
		}
		mounts = append(mounts, mount)
	}
	step["mounts"] = mounts
}

func describeFile(step map[string]any, file *pb.FileOp) {
	for _, action := range file.Actions {
		if made := action.GetMkdir(); made != nil {
			step["mkdir"] = path.Clean(made.Path)
			step["owned"] = made.Owner != nil
		}
		if copied := action.GetCopy(); copied != nil {
			sources, _ := step["copy"].([]string)
			step["copy"] = append(sources, path.Clean(copied.Src))
			step["to"] = destination(copied.Dest)
			step["owned"] = copied.Owner != nil
			step["unpack"] = copied.AttemptUnpackDockerCompatibility
			step["mode"] = ""
			if copied.Mode >= 0 {
				step["mode"] = fmt.Sprintf("%o", copied.Mode)
			}
		}
	}
}

func destination(text string) string {
	cleaned := path.Clean(text)
	if cleaned != "/" && (strings.HasSuffix(text, "/") || strings.HasSuffix(text, "/.")) {
		return cleaned + "/"
	}
	return cleaned
}
