// A file to the server and back, and both versions on a deck.

const MOST_BYTES = 200e6; // that are decoded to be heard: beyond, the result can only be downloaded

// Sends a file. progress: called with 0 to 1 while it goes up, then null. Returns {blob, name}; raises an Error in words.
export function clean(file, query, key, progress) {
  const request = new XMLHttpRequest();
  const parameters = new URLSearchParams({ ...query, name: file.name });
  request.open("POST", `/v1/denoise?${parameters}`);
  request.responseType = "blob";
  if (key) request.setRequestHeader("Authorization", `Bearer ${key}`);
  request.upload.onprogress = ({ loaded, total }) => progress(loaded / total);
  request.upload.onload = () => progress(null);
  return new Promise((resolve, reject) => {
    request.onload = async () => {
      if (request.status === 200) {
        const [, name] = /filename\*=UTF-8''([^;]*)/.exec(request.getResponseHeader("Content-Disposition")) ?? [];
        resolve({ blob: request.response, name: decodeURIComponent(name ?? file.name) });
        return;
      }
      let message = `The server answers ${request.status}.`;
      try {
        message = JSON.parse(await request.response.text()).error.message;
      } catch {
        // What stands before it has no words of this server.
      }
      reject(Object.assign(new Error(message), { status: request.status }));
    };
    request.onerror = () => reject(new Error("The connection to the server broke off; the file may be too large for it."));
    request.send(file);
  });
}

// Both versions, decoded, or an Error in words.
export async function decoded(context, noisy, result) {
  if (Math.max(noisy.size, result.size) > MOST_BYTES) throw new Error("The file is too large to be heard here.");
  try {
    return await Promise.all([noisy, result].map(async (blob) => context.decodeAudioData(await blob.arrayBuffer())));
  } catch {
    throw new Error("This browser does not play that kind of file.");
  }
}
