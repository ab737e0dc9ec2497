interface User {
  id: string;
  name: string;
  email: string;
  phone?: string;
}
