/** Lets tsc know what esbuild makes of these imports. */
declare module "*.svg" {
  const text: string;
  export default text;
}
declare module "socket.io-msgpack-parser";
