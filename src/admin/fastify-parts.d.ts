// Parts of fastify that are loaded before it, and of which nothing is used by name.
declare module "fastify/lib/*";
